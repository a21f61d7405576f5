//! What all pages have in common: one self-contained document without scripts or references to elsewhere, light or dark as the reader's
//! system is, light on paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --line: #ddd; --pale: #f3f3f3; --soft: #555; }
body { font: 15px/1.45 sans-serif; color: var(--ink); background: var(--paper); max-width: 1360px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2.2em; border-top: 1px solid var(--line); padding-top: .8em; }
table { border-collapse: collapse; margin: .8em 0; font-size: .9em; }
th, td { text-align: left; vertical-align: top; padding: .25em .7em; border-bottom: 1px solid var(--line); }
th.number, td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.no, tr.best td { font-weight: bold; } td.reason, .soft { color: var(--soft); }
.scroll { overflow-x: auto; }
.panels { display: flex; flex-wrap: wrap; gap: .5em; align-items: flex-start; }
.panels svg { max-width: 100%; height: auto; border: 1px solid var(--line); }
code { background: var(--pale); padding: .1em .3em; overflow-wrap: anywhere; }
nav a { margin-right: 1em; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --paper: #181818; --line: #3d3d3d; --pale: #2a2a2a; --soft: #aaa; }
  a { color: #8ab4f8; }
  svg > rect[fill='#FFFFFF']:first-of-type { fill: #181818; }
  svg [fill='#282828'] { fill: #ddd; } svg [stroke='#282828'] { stroke: #ddd; }
  svg polygon[fill='#000000'] { fill: #fff; } svg [stroke='#000000'] { stroke: #fff; }
  svg polygon[fill='#0072B2'] { fill: #56a8e0; } svg [stroke='#0072B2'] { stroke: #56a8e0; }
  svg [stroke='#DEDEDE'] { stroke: #3d3d3d; }
}
@media print {
  body { margin: 0; max-width: none; font-size: 11px; } nav { display: none; }
  .panels svg, table tr { break-inside: avoid; } h2 { break-after: avoid; }
}
";

/// A document of a title and a body.
pub fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "ringscope: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    };
    page.into_string() + "\n"
}

/// A table: headers, where `true` says that the column holds numbers, and rows of texts.
pub fn table(headers: &[(&str, bool)], rows: &[Vec<String>]) -> Markup {
    let class = |column: usize| headers.get(column).is_some_and(|header| header.1).then_some("number");
    html! {
        div class="scroll" {
            table {
                thead { tr { @for (column, header) in headers.iter().enumerate() { th class=[class(column)] { (header.0) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in row.iter().enumerate() { td class=[class(column)] { (cell) } } }
                    }
                }
            }
        }
    }
}
