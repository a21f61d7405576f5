//! The data streamer: two steps in the same direction inside a page start a stream, which then runs one line ahead.
//! What it brings counts as there from then on: a stream's lateness is not modelled.

use sim_core::ids::PAGE_LINES;

/// Streams followed at a time. Intel's optimisation manual names 32 for the Core family's streamer, half of them forward.
const STREAMS: usize = 16;
const NO_PAGE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Stream {
    page: u32,
    last: u32,
    /// +1 or -1 after a first step, 0 before.
    direction: i32,
}

/// The streams of one core, the most recent one first.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    streams: [Stream; STREAMS],
}

impl Streams {
    pub fn new() -> Streams {
        Streams { streams: [Stream { page: NO_PAGE, last: 0, direction: 0 }; STREAMS] }
    }

    /// A data access to a frame line reached the second level. Returns the line to fetch when it continues a stream.
    pub fn observe(&mut self, physical: u32) -> Option<u32> {
        let page = physical / PAGE_LINES;
        let place = self.streams.iter().position(|stream| stream.page == page);
        let mut stream = place.map_or(Stream { page, last: physical, direction: 0 }, |place| self.streams[place]);
        let step = physical as i32 - stream.last as i32;
        let confirmed = step != 0 && step == stream.direction;
        stream.direction = if step.abs() == 1 { step } else { 0 };
        stream.last = physical;
        self.streams.copy_within(0..place.unwrap_or(STREAMS - 1), 1);
        self.streams[0] = stream;
        let next = physical.wrapping_add_signed(step);
        (confirmed && next / PAGE_LINES == page).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_in_one_direction_start_a_stream_that_ends_with_the_page() {
        let mut streams = Streams::new();
        let asked: Vec<Option<u32>> = [10, 11, 12, 13].map(|line| streams.observe(line)).into();
        assert_eq!(asked, [None, None, Some(13), Some(14)]);
        let down: Vec<Option<u32>> = [130, 129, 128].map(|line| streams.observe(line)).into();
        assert_eq!(down, [None, None, None]);
    }

    #[test]
    fn streams_of_several_pages_do_not_disturb_each_other() {
        let mut streams = Streams::new();
        let asked: Vec<Option<u32>> = [64, 640, 65, 641, 66, 642].map(|line| streams.observe(line)).into();
        assert_eq!(asked, [None, None, None, None, Some(67), Some(643)]);
    }
}
