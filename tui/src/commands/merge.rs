//! `ringscope merge`: the shards of a sweep become the file that the whole sweep would have written.

use super::sweep::check_file;
use crate::args::MergeArguments;
use crate::output;
use crate::sweep::lines::{self, Contents, Entry};
use crate::sweep::store::write_lines;
use anyhow::{Context, Result, bail};
use sim_core::sweep::{Header, line};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Missing points that are named.
const MISSING_SHOWN: usize = 10;

/// Puts the parts together.
pub fn merge(options: &MergeArguments) -> Result<()> {
    check_file(&options.output)?;
    if options.output.exists() && !options.force {
        bail!("{}: exists already; name another file with -o, or add --force to replace it", options.output.display());
    }
    let parts = options.parts.iter().map(|path| Ok((path, read(path)?))).collect::<Result<Vec<(&PathBuf, Contents)>>>()?;
    let (first_path, first) = &parts[0];
    for (path, contents) in &parts[1..] {
        check_same_sweep((first_path, &first.header), (path, &contents.header), options.force)?;
    }
    let chosen = choose(&parts)?;
    check_complete(&chosen, &parts, options)?;
    let header = line(&Header { shard: None, ..first.header.clone() });
    let mut files = parts.iter().map(|(path, _)| Ok(File::open(path)?)).collect::<Result<Vec<File>>>()?;
    let lines = chosen.values().map(|(part, entry)| lines::line_at(&mut files[*part], entry));
    write_lines(&options.output, &header, lines)?;
    output::print(&format!("{}: {} of {} points\n", options.output.display(), chosen.len(), first.header.points))
}

fn read(path: &Path) -> Result<Contents> {
    let file = File::open(path)
        .with_context(|| format!("{}: can't be read; name the files that the shards have written", path.display()))?;
    let contents = lines::read(path, BufReader::new(file))?;
    let contents = contents.with_context(|| format!("{}: is empty; run its shard first", path.display()))?;
    if contents.cut_off {
        output::remark(&format!("{}: the last line is cut off and not used", path.display()));
    }
    Ok(contents)
}

/// Refuses parts of different sweeps.
fn check_same_sweep(first: (&Path, &Header), other: (&Path, &Header), force: bool) -> Result<()> {
    let names = format!("{} and {}", first.0.display(), other.0.display());
    let (first, other) = (first.1, other.1);
    if (&first.command, &first.axes, first.points) != (&other.command, &other.axes, other.points) {
        bail!("{names} are of different sweeps:\n  {}\n  {}", first.command, other.command);
    }
    if first.workload_hash != other.workload_hash {
        bail!("{names}: the workload {} is not the same in both; run one of them again", first.workload);
    }
    if first.program_hash != other.program_hash && !force {
        bail!("{names} were written by different builds of the program; run one of them again, or add --force");
    }
    Ok(())
}

/// The record of each point, with the part that it is from. A point that one part has done and another failed is done.
fn choose<'p>(parts: &'p [(&PathBuf, Contents)]) -> Result<BTreeMap<u64, (usize, &'p Entry)>> {
    let mut chosen: BTreeMap<u64, (usize, &Entry)> = BTreeMap::new();
    for (part, (path, contents)) in parts.iter().enumerate() {
        for entry in lines::latest(&contents.entries) {
            let index = entry.brief.index;
            let Some((other_part, other)) = chosen.get(&index).copied() else {
                chosen.insert(index, (part, entry));
                continue;
            };
            if other.brief != entry.brief && other.brief.is_done() && entry.brief.is_done() {
                let other_path = parts[other_part].0.display();
                bail!(
                    "{other_path} and {} have different results of point {index} ({}): run it again in one of them",
                    path.display(),
                    entry.brief.axes
                );
            }
            if !other.brief.is_done() {
                chosen.insert(index, (part, entry));
            }
        }
    }
    Ok(chosen)
}

/// Says which points are missing, and whose they are as far as that can be known.
fn check_complete(chosen: &BTreeMap<u64, (usize, &Entry)>, parts: &[(&PathBuf, Contents)], options: &MergeArguments) -> Result<()> {
    let header = &parts[0].1.header;
    let missing: Vec<u64> = (0..header.points).filter(|index| !chosen.contains_key(index)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = |index: &u64| format!("\n  point {index}: {}", header.values_at(*index));
    let mut shown: Vec<String> = missing.iter().take(MISSING_SHOWN).map(name).collect();
    shown.extend(missing.len().checked_sub(MISSING_SHOWN).filter(|more| *more > 0).map(|more| format!("\n  and {more} others")));
    let shards: Vec<&str> = parts.iter().filter_map(|(_, contents)| contents.header.shard.as_deref()).collect();
    let problem = format!(
        "{} of {} points are missing:{}\n  given: {}",
        missing.len(),
        header.points,
        shown.concat(),
        if shards.is_empty() { "no shards".to_owned() } else { format!("shards {}", shards.join(", ")) }
    );
    if options.incomplete {
        output::remark(&problem);
        return Ok(());
    }
    bail!(
        "{problem}\n  finish each shard with `{} --shard I/N -o FILE.jsonl --resume`, or add --incomplete to write what is there",
        header.command
    )
}
