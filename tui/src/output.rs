//! Where results go: standard output, and files by their ending.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Writes text to standard output. A closed pipe is an error of kind `BrokenPipe`, which ends the program quietly.
///
/// # Errors
/// Standard output can't be written.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Writes a remark to standard error. Nothing can be done if that fails.
pub fn remark(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Format of a result file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The whole report.
    Json,
    /// One row per report.
    Csv,
    /// A page with plots.
    Html,
    /// The rows with their types.
    Parquet,
}

impl FileFormat {
    /// What tables can be written as.
    const TABLES: &[FileFormat] = &[FileFormat::Json, FileFormat::Csv];
    /// What reports of runs can be written as.
    pub const REPORTS: &[FileFormat] = &[FileFormat::Html, FileFormat::Json, FileFormat::Csv, FileFormat::Parquet];
    /// What differences can be written as.
    pub const DIFFERENCES: &[FileFormat] = &[FileFormat::Html, FileFormat::Json, FileFormat::Csv];

    /// Ending of the file's name.
    fn ending(self) -> &'static str {
        match self {
            FileFormat::Json => "json",
            FileFormat::Csv => "csv",
            FileFormat::Html => "html",
            FileFormat::Parquet => "parquet",
        }
    }
}

/// The format that a file's ending asks for.
///
/// # Errors
/// An ending that stands for no format.
pub fn format_of(path: &Path) -> Result<FileFormat> {
    format_among(path, FileFormat::REPORTS)
}

fn format_among(path: &Path, known: &[FileFormat]) -> Result<FileFormat> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if let Some(format) = known.iter().find(|format| format.ending() == ending) {
        return Ok(*format);
    }
    let endings: Vec<String> = known.iter().map(|format| format!(".{}", format.ending())).collect();
    let (last, others) = endings.split_last().map_or(("", &endings[..]), |(last, others)| (last.as_str(), others));
    let endings = format!("{} or {last}", others.join(", "));
    if ending.is_empty() {
        bail!("{}: the file name has no ending that says the format; use {endings}", path.display());
    }
    bail!("{}: results can't be written as .{ending}; use {endings}", path.display())
}

/// Checks the names of the files that a table is to be written to, before anything runs.
///
/// # Errors
/// As [`check_formats`].
pub fn check_files<P: AsRef<Path>>(files: &[P]) -> Result<()> {
    check_formats(files, FileFormat::TABLES)
}

/// Checks the names of all result files before anything runs.
///
/// # Errors
/// The first ending that is not among the formats that the command writes, a format that the program was built without, or a folder
/// that does not exist.
pub fn check_formats<P: AsRef<Path>>(files: &[P], formats: &[FileFormat]) -> Result<()> {
    for file in files.iter().map(AsRef::as_ref) {
        if format_among(file, formats)? == FileFormat::Parquet {
            crate::parquet::available().with_context(|| format!("{}: can't be written", file.display()))?;
        }
    }
    check_folders(files)
}

/// Checks the folders of files that are to be written.
///
/// # Errors
/// The first folder that does not exist.
pub fn check_folders<P: AsRef<Path>>(files: &[P]) -> Result<()> {
    for file in files.iter().map(AsRef::as_ref) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            bail!("{}: the folder {} does not exist; create it first", file.display(), folder.display());
        }
    }
    Ok(())
}

/// Writes a file. The bytes go to a neighbour first, so that a crash or a full disk leaves no half file.
///
/// # Errors
/// The file can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("{}: can't be written; check the folder, its rights and the free space", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        std::fs::remove_file(&part).ok();
    }
    written.with_context(context)
}

/// Names of the columns of all rows, in the order in which they first occur: a name that an earlier row lacks stands behind the one that
/// precedes it in its own row.
pub fn columns<V>(rows: &[Vec<(String, V)>]) -> Vec<&str> {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        let mut at = 0;
        for (name, _) in row {
            // rows mostly have the same columns
            if columns.get(at) == Some(&name.as_str()) {
                at += 1;
                continue;
            }
            match columns.iter().position(|column| column == name) {
                Some(found) => at = found + 1,
                None => {
                    columns.insert(at, name);
                    at += 1;
                }
            }
        }
    }
    columns
}

/// Rows with named columns as CSV: [`columns`] of all rows.
pub fn csv(rows: &[Vec<(String, String)>]) -> String {
    let columns = columns(rows);
    let mut text = line(columns.iter().copied());
    for row in rows {
        let values: BTreeMap<&str, &str> = row.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        text.push_str(&line(columns.iter().map(|column| values.get(column).copied().unwrap_or(""))));
    }
    text
}

fn line<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let fields: Vec<String> = fields.map(field).collect();
    fields.join(",") + "\n"
}

/// RFC 4180: what contains a comma, a quote or a line end stands in quotes.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn columns_of_all_rows_keep_their_place() {
        let rows = [row(&[("a", "1"), ("c", "3, \"x\"")]), row(&[("a", "4"), ("b", "5"), ("c", "")])];
        assert_eq!(csv(&rows), "a,b,c\n1,,\"3, \"\"x\"\"\"\n4,5,\n");
    }

    #[test]
    fn endings_decide() {
        assert_eq!(format_of(Path::new("a.JSON")).unwrap(), FileFormat::Json);
        assert!(format_of(Path::new("a.xml")).unwrap_err().to_string().contains(".html, .json, .csv or .parquet"));
        assert_eq!(format_of(Path::new("a.html")).unwrap(), FileFormat::Html);
        let tables = |file: &str| check_files(&[file]).unwrap_err().to_string();
        assert_eq!(tables("a.html"), "a.html: results can't be written as .html; use .json or .csv");
        assert!(check_files(&["no/such/folder/a.csv"]).unwrap_err().to_string().contains("does not exist"));
    }
}
