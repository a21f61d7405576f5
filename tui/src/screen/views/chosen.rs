//! The mechanism that a view of one mechanism shows, and asking for what only a simulation of its own can tell.

use crate::screen::action::Effect;
use crate::screen::in_depth::InDepthAnswer;
use crate::screen::questions::Question;
use crate::screen::view::Scene;
use mechanisms::registry::{ALL, Mechanism};

/// The chosen mechanism: that of the scenario until another one is chosen in the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen(Option<Mechanism>);

impl Chosen {
    /// The mechanism.
    pub fn mechanism(self, scene: &Scene) -> Mechanism {
        self.0.unwrap_or(scene.situation.scenario.focus)
    }

    /// The mechanism with its variant, and that the numbers of its report are of a brief run while they are.
    pub fn label(self, scene: &Scene) -> String {
        let brief = scene.situation.snapshot.answer(self.mechanism(scene));
        self.labelled(scene, brief.is_some_and(|answer| answer.preview && answer.report.is_some()))
    }

    /// The same for the numbers of the simulation in depth.
    pub fn label_in_depth(self, scene: &Scene) -> String {
        self.labelled(scene, self.in_depth(scene).is_some_and(|answer| answer.brief))
    }

    fn labelled(self, scene: &Scene, brief: bool) -> String {
        let mechanism = self.mechanism(scene);
        let answer = scene.situation.snapshot.answer(mechanism);
        let label = answer.map_or_else(|| mechanism.name().to_owned(), |answer| answer.label());
        if brief { format!("{label} (brief run)") } else { label }
    }

    /// Chooses the next one; after the last one that of the scenario again.
    pub fn turn(&mut self, scene: &Scene) {
        let current = self.mechanism(scene);
        let position = ALL.iter().position(|entry| entry.mechanism == current).unwrap_or(0);
        let next = ALL[(position + 1) % ALL.len()].mechanism;
        self.0 = (next != scene.situation.scenario.focus).then_some(next);
    }

    /// What the simulation in depth has told of the mechanism, when it is there.
    pub fn in_depth<'a>(self, scene: &Scene<'a>) -> Option<&'a InDepthAnswer> {
        let own = self.mechanism(scene);
        scene.situation.snapshot.in_depth.as_deref().filter(|answer| answer.mechanism == own)
    }

    /// What the whole simulation in depth has told of the mechanism, when it is there.
    pub fn whole_in_depth<'a>(self, scene: &Scene<'a>) -> Option<&'a InDepthAnswer> {
        self.in_depth(scene).filter(|answer| !answer.brief)
    }

    /// Asks for a simulation in depth, unless it is there.
    pub fn ask(self, scene: &Scene) -> Vec<Effect> {
        match self.in_depth(scene) {
            Some(_) => Vec::new(),
            None => vec![Effect::Ask(Question::InDepth { mechanism: self.mechanism(scene) })],
        }
    }

    /// What a view says while the simulation in depth is not there.
    pub fn missing(self, scene: &Scene) -> String {
        let snapshot = &scene.situation.snapshot;
        let reason =
            snapshot.answer(self.mechanism(scene)).filter(|answer| answer.report.is_some()).and_then(|answer| answer.reason());
        reason.or_else(|| snapshot.refusal.clone()).unwrap_or_else(|| "being simulated with its calls told apart".into())
    }
}
