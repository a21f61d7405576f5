//! What was used last, up to so many things: workloads that were read, answers that are complete.

use std::sync::Arc;

/// Things by name, the last used last.
#[derive(Clone, Debug)]
pub struct Recent<T> {
    things: Vec<(String, Arc<T>)>,
    most: usize,
}

impl<T> Recent<T> {
    /// Nothing yet; room for so many.
    pub fn new(most: usize) -> Recent<T> {
        Recent { things: Vec::new(), most }
    }

    /// The thing of a name, which counts as used.
    pub fn get(&mut self, name: &str) -> Option<Arc<T>> {
        let position = self.things.iter().position(|known| known.0 == name)?;
        let known = self.things.remove(position);
        let thing = Arc::clone(&known.1);
        self.things.push(known);
        Some(thing)
    }

    /// True when there is one of a name; it does not count as used.
    pub fn has(&self, name: &str) -> bool {
        self.things.iter().any(|known| known.0 == name)
    }

    /// Keeps a thing in the place of one of the same name, or of the one that was not used for longest.
    pub fn keep(&mut self, name: &str, thing: Arc<T>) {
        self.things.retain(|known| known.0 != name);
        if self.things.len() >= self.most {
            self.things.remove(0);
        }
        self.things.push((name.to_owned(), thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_gives_way() {
        let mut recent = Recent::new(2);
        [("one", 1), ("two", 2)].into_iter().for_each(|(name, number)| recent.keep(name, Arc::new(number)));
        assert_eq!(recent.get("one").as_deref(), Some(&1));
        recent.keep("three", Arc::new(3));
        assert!(recent.has("three") && !recent.has("two"));
        assert_eq!((recent.get("two"), recent.get("one").as_deref()), (None, Some(&1)));
        recent.keep("one", Arc::new(11));
        assert_eq!((recent.get("three").as_deref(), recent.get("one").as_deref()), (Some(&3), Some(&11)));
    }
}
