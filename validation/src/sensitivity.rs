//! What each prediction rests on: parameters of the model are varied one by one, and the three that move a row most are named.

use crate::conditions::Conditions;
use crate::lab::{Lab, Store};
use crate::outcome::{Predicted, Range, Reading};
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

/// Something that decides a published result and was not published. Ranges of predictions are spanned by the variations.
pub struct Freedom {
    /// What is left open, and how far it is varied.
    pub name: &'static str,
    /// Changes to its ends.
    variations: &'static [fn(&mut Conditions)],
}

/// What nobody published and the calibration does not determine.
pub const FREEDOMS: &[Freedom] = &[
    Freedom {
        name: "kernel instructions of posted calls +-20 %",
        variations: &[|c| c.workload.posted_kernel_permille = 800, |c| c.workload.posted_kernel_permille = 1200],
    },
    // the fit goes to the largest table that was allowed, and the rows hardly tell it from a quarter of that
    // (validation/data/calibration.json)
    Freedom {
        name: "branch history of a half and a quarter of the size",
        variations: &[|c| c.settings.machine.branch.history_entries /= 2, |c| c.settings.machine.branch.history_entries /= 4],
    },
    // as every Nehalem has; the calibration rows prefer the 512 KiB of table 3
    Freedom { name: "second-level cache of 256 KiB", variations: &[|c| c.settings.machine.l2.size_kib = 256] },
    Freedom {
        name: "one receive queue or one a core",
        variations: &[|c| c.settings.kernel.network.receive_side_scaling = !c.settings.kernel.network.receive_side_scaling],
    },
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
    /// The word that a row which is answered with one gets, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub becomes: Option<String>,
}

/// What a prediction rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowSensitivity {
    /// The row.
    pub row: String,
    /// Unit of the prediction.
    pub unit: String,
    /// The prediction without a variation, one seed; of a row that is answered with a word the number that it was read off.
    pub prediction: f64,
    /// The word, and what it was read off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<WordRead>,
    /// The three parameters that move it most, the strongest first; fewer where not so many move it.
    pub strongest: Vec<Influence>,
    /// What the prediction becomes over [`FREEDOMS`], varied one by one.
    pub range: Option<FreedomRange>,
}

/// A word, and the number that decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordRead {
    /// The word without a variation.
    pub word: String,
    /// What the number is.
    pub read_off: String,
}

/// Ends of a prediction over what nobody published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FreedomRange {
    /// Lowest prediction less the prediction without a variation, in the row's unit.
    pub low_moves: f64,
    /// Highest, likewise.
    pub high_moves: f64,
    /// The freedom that moves the prediction most.
    pub widest: String,
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

    /// Gives predictions without a range of their own the one over [`FREEDOMS`].
    pub fn add_ranges(&self, verdicts: &mut [Verdict]) {
        for verdict in verdicts {
            let Some(found) = self.of(&verdict.row.id).and_then(|found| found.range.as_ref()) else { continue };
            let Said::Outcome(outcome) = &mut verdict.said else { continue };
            if let (None, Some(mean)) = (&outcome.range, outcome.value.number()) {
                let freedom = format!("what nobody published, mostly {}", found.widest);
                outcome.range = Some(Range { low: mean + found.low_moves, high: mean + found.high_moves, freedom });
            }
        }
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

/// Measured requests of each simulation: a third of what predictions have, because only differences are read off.
const REQUESTS: u64 = 300;

/// Varies every parameter for the PRED rows among `rows`, one seed each.
///
/// # Errors
/// An interruption, or host threads that cannot be started.
pub fn sensitivity(rows: &[Row], store: &Store, job: &Job) -> Result<Sensitivity, ExperimentError> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.usage == Use::Prediction).collect();
    let lab = Lab::new(store, 1);
    let answers = |change: fn(&mut Conditions)| -> Answers {
        let brief = |conditions: &mut Conditions| {
            conditions.settings.run.requests = conditions.settings.run.requests.min(REQUESTS);
            change(conditions);
        };
        rows.iter().map(|row| said(&lab.with(&brief), row).into()).collect()
    };
    loop {
        let plain = answers(|_| {});
        let varied: Vec<Answers> = PARAMETERS.iter().map(|parameter| answers(parameter.apply)).collect();
        let free: Vec<Vec<Answers>> =
            FREEDOMS.iter().map(|freedom| freedom.variations.iter().map(|change| answers(*change)).collect()).collect();
        if !store.settle(job)? {
            let of = |index: usize| {
                let at = |answers: &Answers| answers[index].clone();
                let free = free.iter().map(|ends| ends.iter().filter_map(|end| at(end).number()).collect());
                row_sensitivity(rows[index], &plain[index], varied.iter().map(at), free)
            };
            let rows = (0..rows.len()).filter_map(of).collect();
            return Ok(Sensitivity { version: env!("CARGO_PKG_VERSION").into(), rows });
        }
    }
}

/// What the model says to each row under one variation.
type Answers = Vec<Answer>;

/// What the model says to a row: a number, or a word with the number that it was read off.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    value: Option<f64>,
    word: Option<String>,
    reading: Option<Reading>,
}

impl Answer {
    /// The number that a variation moves.
    fn number(&self) -> Option<f64> {
        self.value.or(self.reading.as_ref().map(|reading| reading.value)).filter(|number| number.is_finite())
    }
}

impl From<Said> for Answer {
    fn from(said: Said) -> Answer {
        let Said::Outcome(outcome) = said else { return Answer::default() };
        let word = match &outcome.value {
            Predicted::Word(word) => Some(word.clone()),
            _ => None,
        };
        Answer { value: outcome.value.number(), word, reading: outcome.reading }
    }
}

fn row_sensitivity(
    row: &Row,
    plain: &Answer,
    varied: impl Iterator<Item = Answer>,
    free: impl Iterator<Item = Vec<f64>>,
) -> Option<RowSensitivity> {
    let prediction = plain.number()?;
    let influence = |(parameter, answer): (&Parameter, Answer)| {
        Some(Influence {
            parameter: parameter.name.into(),
            variation: parameter.variation.into(),
            moves: rounded(answer.number()? - prediction),
            becomes: answer.word.filter(|word| plain.word.as_ref() != Some(word)),
        })
    };
    let mut strongest: Vec<Influence> = PARAMETERS.iter().zip(varied).filter_map(influence).collect();
    strongest.retain(|influence| influence.moves != 0.0);
    strongest.sort_by(|left, right| right.moves.abs().total_cmp(&left.moves.abs()));
    strongest.truncate(NAMED);
    let range = freedom_range(prediction, free);
    let word = plain.word.as_ref().zip(plain.reading.as_ref());
    let word = word.map(|(word, reading)| WordRead { word: word.clone(), read_off: reading.what.into() });
    let unit = plain.reading.as_ref().map_or(row.unit.as_str(), |reading| reading.unit);
    Some(RowSensitivity { row: row.id.clone(), unit: unit.into(), prediction: rounded(prediction), word, strongest, range })
}

/// `free` holds the answers under each freedom's variations.
fn freedom_range(prediction: f64, free: impl Iterator<Item = Vec<f64>>) -> Option<FreedomRange> {
    let moves: Vec<Vec<f64>> = free.map(|ends| ends.iter().map(|end| end - prediction).collect()).collect();
    let all = || moves.iter().flatten().copied();
    let width = |moves: &Vec<f64>| moves.iter().copied().map(f64::abs).fold(0.0, f64::max);
    let widest = FREEDOMS.iter().zip(&moves).max_by(|left, right| width(left.1).total_cmp(&width(right.1)))?;
    all().next()?;
    Some(FreedomRange {
        low_moves: rounded(all().fold(0.0, f64::min)),
        high_moves: rounded(all().fold(0.0, f64::max)),
        widest: widest.0.name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::server_run::atc11_settings;

    #[test]
    fn every_parameter_changes_the_conditions_and_leaves_them_usable() {
        let conditions = Conditions::new("memcached-memslap", atc11_settings().unwrap());
        let free = FREEDOMS.iter().flat_map(|freedom| freedom.variations.iter().map(move |change| (freedom.name, change)));
        for (name, change) in PARAMETERS.iter().map(|parameter| (parameter.name, &parameter.apply)).chain(free) {
            let mut changed = conditions.clone();
            change(&mut changed);
            assert_ne!(changed, conditions, "{name}");
            assert_eq!(changed.settings.validate(), Ok(()), "{name}");
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
    fn d34_two_rows_over_whole_sweeps_have_no_sensitivities() {
        let committed = Sensitivity::committed().unwrap();
        let predictions = crate::published::rows_for(&[Use::Prediction]).unwrap();
        let missing = predictions.iter().filter(|row| committed.of(&row.id).is_none());
        assert_eq!(missing.map(|row| row.id.as_str()).collect::<Vec<_>>(), ["A06", "A07"]);
    }

    fn answer(value: Option<f64>) -> Answer {
        Answer { value, ..Answer::default() }
    }

    #[test]
    fn words_are_followed_by_the_number_that_decides_them() {
        let row = crate::published::rows().unwrap().into_iter().find(|row| row.id == "A11").unwrap();
        let said = |word: &str, percent: f64| Answer::from(Said::Outcome(Outcome::word(word, "").read_off("change", percent, "%")));
        let varied = [said("lower", -1.0), said("not lower", 6.0)].into_iter();
        let found = row_sensitivity(&row, &said("not lower", 4.0), varied, [].into_iter()).unwrap();
        assert_eq!((found.prediction, found.unit.as_str(), found.word.unwrap().read_off.as_str()), (4.0, "%", "change"));
        let moves: Vec<_> = found.strongest.iter().map(|one| (one.moves, one.becomes.as_deref())).collect();
        assert_eq!(moves, [(-5.0, Some("lower")), (2.0, None)]);
        assert_eq!(Answer::from(Said::Outcome(Outcome::word("never", ""))).number(), None);
    }

    #[test]
    fn the_strongest_come_first() {
        let row = crate::published::rows().unwrap().into_iter().find(|row| row.id == "A13").unwrap();
        let varied = (0..PARAMETERS.len())
            .map(|index| answer((index != 0).then(|| 50.0 + index as f64 * if index % 2 == 0 { 1.0 } else { -1.0 })));
        let free = [vec![49.0, 60.0], vec![47.0], Vec::new(), Vec::new()];
        let found = row_sensitivity(&row, &answer(Some(50.0)), varied, free.into_iter()).unwrap();
        let moves: Vec<f64> = found.strongest.iter().map(|one| one.moves.abs()).collect();
        let last = PARAMETERS.len() as f64;
        assert_eq!(moves, [last - 1.0, last - 2.0, last - 3.0]);
        let range = found.range.clone().unwrap();
        assert_eq!((range.low_moves, range.high_moves, range.widest.as_str()), (-3.0, 10.0, FREEDOMS[0].name));
        let sensitivity = Sensitivity { version: String::new(), rows: vec![found] };
        let mut verdicts = [Verdict { row, said: Said::Outcome(Outcome::exact(40.0, "")) }];
        sensitivity.add_ranges(&mut verdicts);
        let range = verdicts[0].outcome().unwrap().range.clone().unwrap();
        assert_eq!((range.low, range.high), (37.0, 50.0));
    }
}
