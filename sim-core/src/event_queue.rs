//! The event queue: events in the total order (time, sequence of pushing). Two events of the same cycle come out in the order in which
//! they were pushed, so a simulation has one history only.

use crate::ids::Cycles;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Pending events of a simulation.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    sequence_next: u64,
}

#[derive(Clone, Debug)]
struct Entry<E> {
    time: Cycles,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (Cycles, u64) {
        (self.time, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue::new()
    }
}

impl<E> EventQueue<E> {
    /// An empty queue.
    pub fn new() -> Self {
        EventQueue { heap: BinaryHeap::new(), sequence_next: 0 }
    }

    /// An empty queue with room for `events` pending events.
    pub fn with_capacity(events: usize) -> Self {
        EventQueue { heap: BinaryHeap::with_capacity(events), sequence_next: 0 }
    }

    /// Adds an event that happens at `time`. A time before events already popped is allowed: the event comes out next.
    pub fn push(&mut self, time: Cycles, event: E) {
        let sequence = self.sequence_next;
        self.sequence_next += 1;
        self.heap.push(Reverse(Entry { time, sequence, event }));
    }

    /// Takes the earliest event; among those of the same time, the one pushed first.
    pub fn pop(&mut self) -> Option<(Cycles, E)> {
        self.heap.pop().map(|Reverse(entry)| (entry.time, entry.event))
    }

    /// Takes the earliest event if it is due at `now` or before.
    pub fn pop_due(&mut self, now: Cycles) -> Option<(Cycles, E)> {
        if self.peek_time()? <= now { self.pop() } else { None }
    }

    /// Time of the earliest event.
    #[inline]
    pub fn peek_time(&self) -> Option<Cycles> {
        self.heap.peek().map(|Reverse(entry)| entry.time)
    }

    /// Pending events.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_of_one_cycle_keep_the_order_of_pushing() {
        let mut queue = EventQueue::new();
        for (time, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            queue.push(time, event);
        }
        assert_eq!(queue.peek_time(), Some(3));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcd");
        assert!(queue.is_empty());
    }

    #[test]
    fn only_due_events_come_out() {
        let mut queue = EventQueue::with_capacity(2);
        queue.push(10, "later");
        queue.push(4, "now");
        assert_eq!(queue.pop_due(3), None);
        assert_eq!(queue.pop_due(4), Some((4, "now")));
        assert_eq!(queue.pop_due(9), None);
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        /// Against a list that is kept sorted by a stable sort: pushes and pops in any mixture.
        #[test]
        fn agrees_with_a_sorted_list(steps in prop::collection::vec(prop::option::weighted(0.6, 0_u64..20), 0..200)) {
            let mut queue = EventQueue::new();
            let mut list: Vec<(u64, usize)> = Vec::new();
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Some(time) => {
                        queue.push(time, index);
                        list.push((time, index));
                        list.sort_by_key(|entry| entry.0);
                    }
                    None => {
                        let expected = if list.is_empty() { None } else { Some(list.remove(0)) };
                        prop_assert_eq!(queue.pop(), expected);
                    }
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.peek_time(), list.first().map(|entry| entry.0));
            }
        }
    }
}
