//! The known name that is nearest to what was typed.

/// The nearest of the known names, if one is near enough to be meant. Case does not count.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = name.to_lowercase();
    let distance = |candidate: &str| strsim::levenshtein(&typed, &candidate.to_lowercase());
    let (distance, candidate) = known.into_iter().map(|candidate| (distance(candidate), candidate)).min()?;
    (distance <= candidate.len().max(name.len()).div_ceil(2)).then_some(candidate)
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
