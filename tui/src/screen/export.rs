//! What is shown, as a file: CSV, or SVG where a view has a picture, else its table drawn as one.

use super::view::{Export, Scene, View};
use crate::output;
use anyhow::{Result, bail};
use std::fmt::Write;
use std::path::Path;

/// The content of a file; its ending decides.
///
/// # Errors
/// Another ending than `.csv` or `.svg`, and a picture that can't be drawn.
pub fn content(file: &Path, view: &dyn View, scene: &Scene) -> Result<String> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => Ok(csv(&view.export(scene))),
        "svg" => Ok(view.picture(scene)?.unwrap_or_else(|| table_svg(&view.export(scene)))),
        _ => bail!("{}: what is shown can be exported as .csv or .svg", file.display()),
    }
}

fn csv(export: &Export) -> String {
    let named = |row: &Vec<String>| export.columns.iter().cloned().zip(row.iter().cloned()).collect();
    if export.rows.is_empty() {
        return export.columns.join(",") + "\n";
    }
    output::csv(&export.rows.iter().map(named).collect::<Vec<_>>())
}

const LINE_HEIGHT: usize = 20;
/// Width of a character of the monospaced font at its size.
const CHARACTER_WIDTH: usize = 8;

/// A table in a monospaced font.
fn table_svg(export: &Export) -> String {
    let widths: Vec<usize> = (0..export.columns.len())
        .map(|column| {
            let cells = export.rows.iter().filter_map(|row| row.get(column));
            cells.chain(export.columns.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0) + 2
        })
        .collect();
    let width = widths.iter().sum::<usize>().max(export.title.chars().count() + 2) * CHARACTER_WIDTH + 20;
    let height = (export.rows.len() + 3) * LINE_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut line = |row: usize, column: usize, text: &str, weight: &str| {
        let x = 10 + widths[..column].iter().sum::<usize>() * CHARACTER_WIDTH;
        writeln!(svg, "<text x=\"{x}\" y=\"{}\"{weight}>{}</text>", (row + 1) * LINE_HEIGHT, escaped(text)).ok();
    };
    line(0, 0, &export.title, " font-weight=\"bold\"");
    export.columns.iter().enumerate().for_each(|(column, name)| line(1, column, name, " font-weight=\"bold\""));
    for (row, cells) in export.rows.iter().enumerate() {
        cells.iter().enumerate().take(widths.len()).for_each(|(column, cell)| line(row + 2, column, cell, ""));
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export() -> Export {
        Export { title: "a < b".into(), columns: vec!["name".into(), "x, y".into()], rows: vec![vec!["one".into(), "1".into()]] }
    }

    #[test]
    fn tables_become_csv_and_svg() {
        assert_eq!(csv(&export()), "name,\"x, y\"\none,1\n");
        assert_eq!(csv(&Export { rows: Vec::new(), ..export() }), "name,x, y\n");
        let svg = table_svg(&export());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(">one</text>"), "{svg}");
    }
}
