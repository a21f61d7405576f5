//! The known name that is nearest to what was typed.

/// The nearest of the known names, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = known.into_iter().map(|candidate| (distance(name, candidate), candidate)).min()?;
    (distance <= candidate.len().max(name.len()).div_ceil(2)).then_some(candidate)
}

/// Levenshtein distance in characters, without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (left, right) = (lower(left), lower(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("Memcache", ["nginx", "memcached", "memcached-udp"]), Some("memcached"));
        assert_eq!(nearest("sizekib", ["ways", "size_kib"]), Some("size_kib"));
        assert_eq!(nearest("zzzzzzzz", ["nginx", "redis"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
