//! Filled rectangles that differ by hatching as well as by colour, so that they can be told apart in print.

use super::{Area, FONT, INK};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Left, top, right, bottom in pixels.
pub type Frame = (i32, i32, i32, i32);

/// Lines over a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hatch {
    /// None.
    Plain,
    /// From left to right.
    Level,
    /// From top to bottom.
    Upright,
    /// From the lower left to the upper right.
    Rising,
    /// From the upper left to the lower right.
    Falling,
    /// Rising and falling.
    Crossed,
}

/// How a part looks wherever it occurs.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// Its colour: light enough for dark text on it.
    pub color: RGBColor,
    /// Its hatching.
    pub hatch: Hatch,
}

/// Texts that stand on fills: they stay dark when a page is shown dark.
pub const ON_FILL: RGBColor = RGBColor(20, 20, 20);
/// Lines of hatchings.
const HATCHING: RGBColor = RGBColor(110, 110, 110);
/// Between hatching lines, pixels.
const STEP: i32 = 8;

/// Draws a filled and hatched rectangle. Nothing below one pixel.
pub fn draw(area: &Area, frame: Frame, fill: Fill) -> Result<()> {
    let (left, top, right, bottom) = frame;
    if right <= left || bottom <= top {
        return Ok(());
    }
    area.draw(&Rectangle::new([(left, top), (right, bottom)], fill.color.filled()))?;
    for line in lines(frame, fill.hatch) {
        area.draw(&PathElement::new(line.to_vec(), HATCHING.stroke_width(1)))?;
    }
    Ok(area.draw(&Rectangle::new([(left, top), (right, bottom)], HATCHING.stroke_width(1)))?)
}

/// Hatching lines, cut at the frame.
fn lines(frame: Frame, hatch: Hatch) -> Vec<[(i32, i32); 2]> {
    let (left, top, right, bottom) = frame;
    let step = STEP as usize;
    match hatch {
        Hatch::Plain => Vec::new(),
        Hatch::Level => (top + STEP / 2..bottom).step_by(step).map(|y| [(left, y), (right, y)]).collect(),
        Hatch::Upright => (left + STEP / 2..right).step_by(step).map(|x| [(x, top), (x, bottom)]).collect(),
        Hatch::Rising => rising(frame),
        Hatch::Falling => {
            let mirrored = |(x, y): (i32, i32)| (left + right - x, y);
            rising(frame).into_iter().map(|line| line.map(mirrored)).collect()
        }
        Hatch::Crossed => [lines(frame, Hatch::Rising), lines(frame, Hatch::Falling)].concat(),
    }
}

/// Lines along which x + y is constant.
fn rising((left, top, right, bottom): Frame) -> Vec<[(i32, i32); 2]> {
    let sums = (left + top + STEP..right + bottom).step_by(STEP as usize);
    let line = |sum: i32| {
        let lower = (left.max(sum - bottom), bottom.min(sum - left));
        let upper = (right.min(sum - top), top.max(sum - right));
        [lower, upper]
    };
    sums.map(line).collect()
}

/// One entry of a legend of fills, by its place from the top.
pub fn legend(area: &Area, index: usize, name: &str, fill: Fill) -> Result<()> {
    let (x, y) = (10, 14 + 24 * index as i32);
    draw(area, (x, y - 8, x + 28, y + 8), fill)?;
    let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    Ok(area.draw(&Text::new(name.to_owned(), (x + 36, y), style))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hatching_stays_inside() {
        let frame = (10, 20, 57, 41);
        for hatch in [Hatch::Level, Hatch::Upright, Hatch::Rising, Hatch::Falling, Hatch::Crossed] {
            let lines = lines(frame, hatch);
            assert!(lines.len() > 1, "{hatch:?}");
            for (x, y) in lines.into_iter().flatten() {
                assert!((10..=57).contains(&x) && (20..=41).contains(&y), "{hatch:?}: {x} {y}");
            }
        }
        assert!(lines(frame, Hatch::Plain).is_empty());
    }
}
