//! The model with something taken out: which predictions still hold shows what that part is for.

use crate::conditions::Conditions;

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablation {
    /// Every cache, TLB and branch table exists once for each mode, at full size: neither mode displaces what the other needs.
    NoPollution,
    /// Readiness is replayed instead of simulated: as many requests are in flight as in the recording, a readiness call returns at most
    /// as many events as the recorded ones did on average, and neither clients nor network keep the server waiting.
    RecordedReadiness,
}

impl Ablation {
    /// All of them.
    pub const ALL: [Ablation; 2] = [Ablation::NoPollution, Ablation::RecordedReadiness];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Ablation::NoPollution => "no-pollution",
            Ablation::RecordedReadiness => "recorded-readiness",
        }
    }

    /// Takes it out of an experiment's conditions.
    pub fn apply(self, conditions: &mut Conditions) {
        let settings = &mut conditions.settings;
        match self {
            Ablation::NoPollution => settings.machine = settings.machine.clone().with_private_structures_per_mode(),
            Ablation::RecordedReadiness => {
                conditions.workload.recorded_readiness = true;
                settings.clients.link_rate_mbps = INSTANT_LINK_MBPS;
                settings.clients.link_delay_us = 0.0;
                settings.clients.service_us = 0.0;
            }
        }
    }
}

/// A link on which no packet of a request takes a microsecond.
const INSTANT_LINK_MBPS: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_run::atc11_settings;

    #[test]
    fn each_changes_the_conditions() {
        let conditions = Conditions::new("memcached", atc11_settings().unwrap());
        for ablation in Ablation::ALL {
            let mut changed = conditions.clone();
            ablation.apply(&mut changed);
            assert_ne!(changed, conditions, "{}", ablation.name());
            assert!(changed.settings.validate().is_ok());
        }
    }
}
