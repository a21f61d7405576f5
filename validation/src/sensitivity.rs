//! What each prediction rests on: parameters of the model are varied one by one, and the three that move a row most are named.

use crate::conditions::Conditions;
use crate::lab::{Lab, Store};
use crate::papers::said;
use crate::published::{Row, Use};
use crate::verdict::{Said, Verdict};
use mechanisms::compare::{ExperimentError, Job};
use mechanisms::settings::MechanismSettings;
use serde::{Deserialize, Serialize};
use sim_core::digits::rounded;

/// A parameter and how far it is varied.
pub struct Parameter {
    /// Name in results.
    pub name: &'static str,
    /// The change, in words.
    pub variation: &'static str,
    apply: fn(&mut Conditions),
}

fn permille(value: &mut u32, permille: u64) {
    *value = (u64::from(*value) * permille / 1000) as u32;
}

/// All parameters. Each is varied to the end of what its source leaves open, or by a quarter where there is no source.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    Parameter { name: "exposure of instruction misses", variation: "0.5 of what it is", apply: |c| {
        let exposure = &mut c.settings.machine.exposure;
        permille(&mut exposure.instruction_permille_user, 500);
        permille(&mut exposure.instruction_permille_kernel, 500);
    } },
    Parameter { name: "exposure of data misses", variation: "-25 %", apply: |c| {
        let exposure = &mut c.settings.machine.exposure;
        permille(&mut exposure.data_permille_user, 750);
        permille(&mut exposure.data_permille_kernel, 750);
    } },
    Parameter { name: "base CPI of user code", variation: "+25 %", apply: |c| {
        permille(&mut c.settings.machine.base_cpi_user_milli, 1250);
        c.workload.base_cpi_permille = c.workload.base_cpi_permille * 5 / 4;
    } },
    Parameter { name: "base CPI of kernel code", variation: "+25 %", apply: |c| permille(&mut c.settings.machine.base_cpi_kernel_milli, 1250) },
    Parameter { name: "user instructions per call", variation: "+25 %", apply: |c| c.workload.user_permille = c.workload.user_permille * 5 / 4 },
    Parameter { name: "kernel instructions per call", variation: "+25 %", apply: |c| c.workload.kernel_permille = c.workload.kernel_permille * 5 / 4 },
    Parameter { name: "size of the second-level cache", variation: "halved", apply: |c| c.settings.machine.l2.size_kib /= 2 },
    Parameter { name: "latency of the second-level cache", variation: "+25 %", apply: |c| permille(&mut c.settings.machine.l2.latency_cycles, 1250) },
    Parameter { name: "latency of the last-level cache", variation: "+25 %", apply: |c| permille(&mut c.settings.machine.l3.latency_cycles, 1250) },
    Parameter { name: "latency of memory", variation: "+25 %", apply: |c| permille(&mut c.settings.machine.memory_cycles, 1250) },
    Parameter { name: "latency of a line from another core", variation: "+27 % (70 cycles on Nehalem)", apply: |c| permille(&mut c.settings.machine.transfer_cycles, 1273) },
    Parameter { name: "cost of a misprediction", variation: "+18 % (20 cycles on Nehalem)", apply: |c| permille(&mut c.settings.machine.branch.mispredict_cycles, 1180) },
    Parameter { name: "prefetch of the next instruction line", variation: "off", apply: |c| c.settings.machine.prefetch.instruction_next_line = false },
    Parameter { name: "data prefetchers", variation: "off", apply: |c| {
        c.settings.machine.prefetch.l2_adjacent = false;
        c.settings.machine.prefetch.data_streamer = false;
    } },
    Parameter { name: "cost of crossings", variation: "doubled", apply: |c| {
        let crossing = &mut c.settings.machine.crossing;
        for cycles in [&mut crossing.syscall_cycles, &mut crossing.sysret_cycles, &mut crossing.drain_cycles, &mut crossing.refetch_cycles] {
            *cycles *= 2;
        }
    } },
    Parameter { name: "instructions of the mechanism itself", variation: "doubled", apply: |c| double_instructions(&mut c.settings.mechanism) },
    Parameter { name: "interrupt moderation", variation: "halved", apply: |c| c.settings.kernel.network.interrupt_moderation_us /= 2 },
    Parameter { name: "processor time of a client request", variation: "doubled", apply: |c| c.settings.clients.service_us *= 2.0 },
    Parameter { name: "delay of the link", variation: "doubled", apply: |c| c.settings.clients.link_delay_us *= 2.0 },
];

/// The hand-counted instructions of exception-less calls and scripts, which are within a factor of two.
fn double_instructions(settings: &mut MechanismSettings) {
    let exception_less = &mut settings.exception_less;
    let script = &mut settings.batched_script;
    for instructions in [
        &mut exception_less.post_instructions,
        &mut exception_less.scan_instructions,
        &mut exception_less.callback_instructions,
        &mut exception_less.dispatch_instructions,
        &mut exception_less.complete_instructions,
        &mut exception_less.switch_instructions,
        &mut script.interpreter_instructions_milli,
        &mut script.binding_instructions,
        &mut script.invocation_instructions,
    ] {
        *instructions *= 2;
    }
}

/// How far one parameter moves one prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Influence {
    /// The parameter.
    pub parameter: String,
    /// How it is varied.
    pub variation: String,
    /// Prediction under the variation less the prediction without it, in the row's unit.
    pub moves: f64,
}

/// What a prediction rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowSensitivity {
    /// The row.
    pub row: String,
    /// Its unit.
    pub unit: String,
    /// The prediction without a variation, one seed.
    pub prediction: f64,
    /// The three parameters that move it most, the strongest first.
    pub strongest: Vec<Influence>,
}

/// Sensitivities with the version that made them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Version of the program.
    pub version: String,
    /// One for each PRED row that the model answers with a number.
    pub rows: Vec<RowSensitivity>,
}

static COMMITTED: &str = include_str!("../data/sensitivity.json");

impl Sensitivity {
    /// What comes with the program.
    ///
    /// # Errors
    /// When it is damaged (a test reads it).
    pub fn committed() -> Result<Sensitivity, serde_json::Error> {
        serde_json::from_str(COMMITTED)
    }

    /// What was found of a row.
    pub fn of(&self, row: &str) -> Option<&RowSensitivity> {
        self.rows.iter().find(|found| found.row == row)
    }

    /// As it is committed.
    ///
    /// # Errors
    /// None: names and numbers can be written.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Parameters that are named for each row.
const NAMED: usize = 3;

/// Varies every parameter for the PRED rows among `rows`, one seed each.
///
/// # Errors
/// An interruption, or host threads that cannot be started.
pub fn sensitivity(rows: &[Row], store: &Store, job: &Job) -> Result<Sensitivity, ExperimentError> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.usage == Use::Prediction).collect();
    let lab = Lab::new(store, 1);
    let answers = |lab: Lab| -> Vec<Option<f64>> { rows.iter().map(|row| number(&lab, row)).collect() };
    loop {
        let plain = answers(lab);
        let varied: Vec<Vec<Option<f64>>> = PARAMETERS.iter().map(|parameter| answers(lab.with(&parameter.apply))).collect();
        if !store.settle(job)? {
            let of = |index: usize| row_sensitivity(rows[index], plain[index]?, varied.iter().map(|answers| answers[index]));
            let rows = (0..rows.len()).filter_map(of).collect();
            return Ok(Sensitivity { version: env!("CARGO_PKG_VERSION").into(), rows });
        }
    }
}

fn number(lab: &Lab, row: &Row) -> Option<f64> {
    let said: Said = said(lab, row);
    Verdict { row: row.clone(), said }.number().filter(|number| number.is_finite())
}

fn row_sensitivity(row: &Row, prediction: f64, varied: impl Iterator<Item = Option<f64>>) -> Option<RowSensitivity> {
    let influence = |(parameter, value): (&Parameter, Option<f64>)| {
        Some(Influence {
            parameter: parameter.name.into(),
            variation: parameter.variation.into(),
            moves: rounded(value? - prediction),
        })
    };
    let mut strongest: Vec<Influence> = PARAMETERS.iter().zip(varied).filter_map(influence).collect();
    strongest.sort_by(|left, right| right.moves.abs().total_cmp(&left.moves.abs()));
    strongest.truncate(NAMED);
    Some(RowSensitivity { row: row.id.clone(), unit: row.unit.clone(), prediction: rounded(prediction), strongest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_run::atc11_settings;

    #[test]
    fn every_parameter_changes_the_conditions_and_leaves_them_usable() {
        let conditions = Conditions::new("memcached-memslap", atc11_settings().unwrap());
        for parameter in PARAMETERS {
            let mut changed = conditions.clone();
            (parameter.apply)(&mut changed);
            assert_ne!(changed, conditions, "{}", parameter.name);
            assert_eq!(changed.settings.validate(), Ok(()), "{}", parameter.name);
        }
    }

    #[test]
    fn the_committed_ones_are_of_published_rows() {
        let rows = crate::published::rows().unwrap();
        for found in &Sensitivity::committed().unwrap().rows {
            assert!(rows.iter().any(|row| row.id == found.row), "{}", found.row);
            assert!(found.strongest.len() <= NAMED);
        }
    }

    #[test]
    fn the_strongest_come_first() {
        let row = crate::published::rows().unwrap().into_iter().find(|row| row.id == "A13").unwrap();
        let varied =
            (0..PARAMETERS.len()).map(|index| (index != 0).then(|| 50.0 + index as f64 * if index % 2 == 0 { 1.0 } else { -1.0 }));
        let found = row_sensitivity(&row, 50.0, varied).unwrap();
        let moves: Vec<f64> = found.strongest.iter().map(|one| one.moves.abs()).collect();
        let last = PARAMETERS.len() as f64;
        assert_eq!(moves, [last - 1.0, last - 2.0, last - 3.0]);
    }
}
