//! The cycle stack as a report shows it: cycles per request by component name, in the order of [`Component`].

use crate::digits;
use crate::stack::{Component, CycleStack};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Cycles per request by component. An ordered map: a JSON object whose keys keep their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackReport {
    /// Component name and cycles per request.
    pub components: Vec<(String, f64)>,
}

impl StackReport {
    /// The stack of all cores and all measured windows, divided by the requests measured. Every component is there, also those of no
    /// cycles: the columns of a table don't depend on the run. Empty when there were no requests.
    pub fn per_request(stack: &CycleStack, requests: u64) -> StackReport {
        if requests == 0 {
            return StackReport::default();
        }
        let per_request = |component: Component| (component.name(), stack.get(component) as f64 / requests as f64);
        StackReport { components: Component::all().map(per_request).collect() }
    }

    /// Cycles per request of a component; 0 when the report lacks it.
    pub fn get(&self, component: Component) -> f64 {
        let name = component.name();
        self.components.iter().find(|entry| entry.0 == name).map_or(0.0, |entry| entry.1)
    }

    /// Sum over the components, in their order.
    pub fn sum(&self) -> f64 {
        self.components.iter().fold(0.0, |sum, entry| sum + entry.1)
    }

    /// Sum over the components whose name begins with `prefix`: `user.`, `kernel.`, `crossing.`.
    pub fn sum_of(&self, prefix: &str) -> f64 {
        self.components.iter().filter(|entry| entry.0.starts_with(prefix)).fold(0.0, |sum, entry| sum + entry.1)
    }
}

impl Serialize for StackReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.components.len()))?;
        for (name, cycles) in &self.components {
            map.serialize_entry(name, &Rounded(*cycles))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StackReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ComponentsVisitor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Rounded(#[serde(with = "digits")] f64);

struct ComponentsVisitor;

impl<'de> Visitor<'de> for ComponentsVisitor {
    type Value = StackReport;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object of component names and cycles per request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StackReport, A::Error> {
        let mut components = Vec::with_capacity(Component::COUNT);
        while let Some((name, Rounded(cycles))) = map.next_entry::<String, Rounded>()? {
            components.push((name, cycles));
        }
        Ok(StackReport { components })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Cause, Domain};

    /// Awkward numbers in every component.
    fn full_stack() -> CycleStack {
        let mut stack = CycleStack::default();
        for component in Component::all() {
            let index = component.index() as u64;
            stack.add(component, 1_000_003 * (index + 1) * (index + 7) + index);
        }
        stack
    }

    #[test]
    fn components_keep_their_order_through_json() {
        let report = StackReport::per_request(&full_stack(), 997);
        let text = serde_json::to_string(&report).expect("text keys");
        let again: StackReport = serde_json::from_str(&text).expect("what was written can be read");
        let names: Vec<_> = again.components.iter().map(|entry| entry.0.clone()).collect();
        assert_eq!(names, Component::all().map(Component::name).collect::<Vec<_>>());
        assert_eq!(serde_json::to_string(&again).expect("text keys"), text);
    }

    /// Each number is rounded by at most half a unit of its sixth digit: 5e-6 of itself; and so is the total.
    #[test]
    fn rounding_keeps_the_sum() {
        let stack = full_stack();
        assert_eq!(stack.check(stack.total()), Ok(()));
        for requests in [1, 3, 997, 1_000_000_007] {
            let text = serde_json::to_string(&StackReport::per_request(&stack, requests)).expect("text keys");
            let read: StackReport = serde_json::from_str(&text).expect("what was written can be read");
            let total = digits::rounded(stack.total() as f64 / requests as f64);
            assert!((read.sum() - total).abs() <= 1e-5 * total, "{} against {total}", read.sum());
        }
    }

    #[test]
    fn parts_and_nothing() {
        let mut stack = CycleStack::default();
        stack.add(Component::Work(Domain::User, Cause::Base), 30);
        stack.add(Component::Work(Domain::User, Cause::Branch), 10);
        stack.add(Component::Idle, 60);
        let report = StackReport::per_request(&stack, 10);
        assert_eq!((report.sum(), report.sum_of("user."), report.get(Component::Idle)), (10.0, 4.0, 6.0));
        assert_eq!(StackReport::per_request(&stack, 0).components, []);
    }
}
