//! The parameters that may be fitted, and the rows that each group of them is fitted to.

use crate::conditions::Conditions;
use crate::published::Row;
use traces::published as programs;

/// One free parameter. Values are plain numbers in the unit of the setting.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Path of the setting, or `PROGRAM.user_base_cpi_milli`.
    pub name: &'static str,
    /// Where the fit begins: what the source or the guess says.
    pub start: f64,
    /// Least value that makes sense.
    pub low: f64,
    /// Most.
    pub high: f64,
    /// How the value is put into force.
    set: Set,
}

#[derive(Clone, Copy, Debug)]
enum Set {
    /// A setting.
    Setting(fn(&mut Conditions, u32)),
    /// A setting that is a power of two; the value is the exponent.
    PowerOfTwo(fn(&mut Conditions, u32)),
    /// A setting of two possible values: the fit is made with both. The value is the place of the one in force.
    Choice([u32; 2], fn(&mut Conditions, u32)),
    /// The base CPI of one program's own code.
    BaseCpi(&'static OwnCode),
}

/// The one parameter that belongs to a program: the base CPI of its own code, fitted to its synchronous row alone.
#[derive(Debug)]
pub struct OwnCode {
    /// The workloads that are this program.
    workloads: &'static [&'static str],
    /// Its row.
    pub row: &'static str,
    /// How much slower or faster the code must be, in thousandths of a cycle an instruction, from the row's published value and the
    /// model's.
    correction: fn(f64, f64) -> f64,
}

impl Parameter {
    /// Width of what makes sense.
    pub fn range(&self) -> f64 {
        self.high - self.low
    }

    /// The nearest value that makes sense.
    pub fn bounded(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    /// A parameter without derivatives: each of its values is tried.
    pub fn is_choice(&self) -> bool {
        matches!(self.set, Set::Choice(..))
    }

    /// The row that alone decides the value, for a program's own parameter.
    pub fn own_row(&self) -> Option<&'static str> {
        match self.set {
            Set::BaseCpi(own) => Some(own.row),
            _ => None,
        }
    }

    /// The value after a look at its own row.
    pub fn corrected(&self, value: f64, published: f64, model: f64) -> f64 {
        match self.set {
            Set::BaseCpi(own) => self.bounded(value + (own.correction)(published, model)),
            _ => value,
        }
    }

    /// Found by steps downhill, not by a row of its own nor by trying.
    pub fn is_free(&self) -> bool {
        !self.is_choice() && self.own_row().is_none()
    }

    /// A value far enough from `value` for a derivative: a tenth of the range, a whole power of two, the other value of a choice, towards
    /// the roomier side.
    pub fn probe(&self, value: f64) -> f64 {
        let step = match self.set {
            Set::PowerOfTwo(_) | Set::Choice(..) => 1.0,
            Set::Setting(_) | Set::BaseCpi(_) => self.range() / 10.0,
        };
        if value + step <= self.high { value + step } else { value - step }
    }

    /// The value as the setting has it.
    pub fn as_setting(&self, value: f64) -> u32 {
        match self.set {
            Set::PowerOfTwo(_) => 1 << (value.round() as u32),
            Set::Choice(values, _) => values[usize::from(value >= 0.5)],
            Set::Setting(_) | Set::BaseCpi(_) => value.round() as u32,
        }
    }

    /// The value of a setting: what [`Parameter::as_setting`] undoes.
    pub fn from_setting(&self, setting: u32) -> f64 {
        match self.set {
            Set::PowerOfTwo(_) => f64::from(setting.max(1).ilog2()),
            Set::Choice(values, _) => f64::from(u8::from(setting == values[1])),
            Set::Setting(_) | Set::BaseCpi(_) => f64::from(setting),
        }
    }

    fn apply(&self, conditions: &mut Conditions, value: f64) {
        let setting = self.as_setting(value);
        match self.set {
            Set::Setting(set) | Set::PowerOfTwo(set) | Set::Choice(_, set) => set(conditions, setting),
            Set::BaseCpi(own) => {
                let name = conditions.workload.name.split(':').next().unwrap_or_default();
                if own.workloads.contains(&name) {
                    conditions.workload.user_base_cpi_milli = Some(setting);
                }
            }
        }
    }
}

/// Parameters that are fitted together.
#[derive(Debug)]
pub struct Group {
    /// Name in reports.
    pub name: &'static str,
    /// The parameters.
    pub parameters: &'static [Parameter],
    /// Beginnings of the identifiers of the rows that they are fitted to.
    pub rows: &'static [&'static str],
}

const fn setting(name: &'static str, start: f64, low: f64, high: f64, set: fn(&mut Conditions, u32)) -> Parameter {
    Parameter { name, start, low, high, set: Set::Setting(set) }
}

const fn base_cpi(name: &'static str, own: &'static OwnCode) -> Parameter {
    // never below 1 / width; 2 cycles an instruction without any miss would be no base any more
    Parameter { name, start: 500.0, low: 250.0, high: 2000.0, set: Set::BaseCpi(own) }
}

/// Instructions per cycle: what is missing in cycles per instruction is what the base CPI has to give.
fn by_ipc(published: f64, model: f64) -> f64 {
    1000.0 * (1.0 / published - 1.0 / model)
}

/// Requests a second on one core of 2.3 GHz with some 34,000 user instructions a request (the recording's; repeated corrections make up
/// for what it is off).
fn by_rate(published: f64, model: f64) -> f64 {
    1000.0 * (2.3e9 / published - 2.3e9 / model) / 34_000.0
}

static XALAN: OwnCode = OwnCode { workloads: &["xalan", "xalan-pwrite", "xalan-null"], row: "A01", correction: by_ipc };
static MEMCACHED: OwnCode =
    OwnCode { workloads: &["memcached-memslap", "memcached-udp-memaslap"], row: "T1-mc-uipc", correction: by_ipc };
static NGINX: OwnCode = OwnCode { workloads: &["nginx-ab", "nginx-httperf"], row: "T1-ng-uipc", correction: by_ipc };
static APACHE: OwnCode = OwnCode { workloads: &["apache-ab"], row: "AP-sync", correction: by_rate };

/// All groups, in the order in which they are fitted.
pub static GROUPS: &[Group] = &[
    Group {
        name: "processor",
        parameters: &[
            setting("machine.base_cpi_kernel_milli", 700.0, 250.0, 2000.0, |conditions, value| {
                conditions.settings.machine.base_cpi_kernel_milli = value;
            }),
            setting("machine.exposure.instruction_permille_user", 1000.0, 500.0, 1000.0, |conditions, value| {
                conditions.settings.machine.exposure.instruction_permille_user = value;
            }),
            setting("machine.exposure.instruction_permille_kernel", 1000.0, 500.0, 1000.0, |conditions, value| {
                conditions.settings.machine.exposure.instruction_permille_kernel = value;
            }),
            // Intel discloses no size. 4 Ki entries are about what a Pentium M's predictor was found to hold, 64 Ki a large one.
            Parameter {
                name: "machine.branch.history_entries",
                start: 14.0,
                low: 12.0,
                high: 16.0,
                set: Set::PowerOfTwo(|conditions, value| conditions.settings.machine.branch.history_entries = value),
            },
            // Intel documents prefetchers of data, not whether the next instruction line is fetched ahead.
            Parameter {
                name: "machine.prefetch.instruction_next_line",
                start: 1.0,
                low: 0.0,
                high: 1.0,
                set: Set::Choice([0, 1], |conditions, value| {
                    conditions.settings.machine.prefetch.instruction_next_line = value == 1;
                }),
            },
            // Table 3 of ATC 2011 prints 512 KiB, which no Nehalem has: all have 256 (7-cpu, Sniper).
            Parameter {
                name: "machine.l2.size_kib",
                start: 1.0,
                low: 0.0,
                high: 1.0,
                set: Set::Choice([256, 512], |conditions, value| conditions.settings.machine.l2.size_kib = value),
            },
            base_cpi("xalan.user_base_cpi_milli", &XALAN),
            base_cpi("memcached-memslap.user_base_cpi_milli", &MEMCACHED),
            base_cpi("nginx-ab.user_base_cpi_milli", &NGINX),
            base_cpi("apache-ab.user_base_cpi_milli", &APACHE),
        ],
        rows: &["T1-", "A01", "A02", "FX-", "FR-", "FT1-", "AP-sync"],
    },
    // Hand counts of straightforward code hold within a factor of two.
    Group {
        name: "posting",
        parameters: &[
            // entry and return instruction cannot be told apart by any row: the return keeps its guess
            setting("machine.crossing.syscall_cycles", 30.0, 10.0, 90.0, |conditions, value| {
                conditions.settings.machine.crossing.syscall_cycles = value;
            }),
            setting("mechanism.exception_less.post_instructions", 24.0, 12.0, 48.0, |conditions, value| {
                conditions.settings.mechanism.exception_less.post_instructions = value;
            }),
            setting("mechanism.exception_less.dispatch_instructions", 20.0, 10.0, 40.0, |conditions, value| {
                conditions.settings.mechanism.exception_less.dispatch_instructions = value;
            }),
            setting("mechanism.exception_less.hand_over_instructions", 24.0, 15.0, 60.0, |conditions, value| {
                conditions.settings.mechanism.exception_less.hand_over_instructions = value;
            }),
            setting("mechanism.exception_less.interrupt_delivery_cycles", 400.0, 100.0, 1600.0, |conditions, value| {
                conditions.settings.mechanism.exception_less.interrupt_delivery_cycles = value;
            }),
        ],
        rows: &["D03", "FB-", "FBR-"],
    },
];

impl Group {
    /// The rows that the group is fitted to.
    pub fn rows(&self, all: &[Row]) -> Vec<Row> {
        all.iter().filter(|row| self.rows.iter().any(|start| row.id.starts_with(start))).cloned().collect()
    }

    /// Places of its parameters that are choices.
    pub fn choices(&'static self) -> impl Iterator<Item = usize> {
        self.places().filter(|place| get(*place).is_choice())
    }

    /// Places of its parameters among all.
    pub fn places(&'static self) -> impl Iterator<Item = usize> {
        let before = GROUPS.iter().take_while(|group| group.name != self.name).map(|group| group.parameters.len()).sum::<usize>();
        before..before + self.parameters.len()
    }

    /// The group's values for people.
    pub fn show(&'static self, values: &[f64]) -> String {
        let shown = self.places().map(get).zip(self.places());
        let shown = shown.map(|(parameter, place)| format!("{} {}", parameter.name, parameter.as_setting(values[place])));
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// All parameters, by place.
pub fn all() -> impl Iterator<Item = &'static Parameter> {
    GROUPS.iter().flat_map(|group| group.parameters)
}

/// The parameter at a place.
///
/// # Panics
/// When there are not so many.
pub fn get(place: usize) -> &'static Parameter {
    all().nth(place).expect("places come from the table")
}

/// Puts values of all parameters into force.
pub fn apply(conditions: &mut Conditions, values: &[f64]) {
    for (parameter, value) in all().zip(values) {
        parameter.apply(conditions, *value);
    }
}

/// The value that the model has now: in a preset or a published program. Nothing when the name is neither.
pub fn in_force(name: &str, conditions: &Conditions) -> Option<u32> {
    if let Some(program) = name.strip_suffix(".user_base_cpi_milli") {
        if program == "xalan" {
            return Some(traces::xalan::BASE_CPI_MILLI);
        }
        return programs::find(program).and_then(|program| program.user_base_cpi_milli);
    }
    let settings = serde_json::to_value(&conditions.settings).ok()?;
    let value = name.split('.').try_fold(&settings, |value, part| value.get(part))?;
    match value {
        serde_json::Value::Bool(flag) => Some(u32::from(*flag)),
        number => u32::try_from(number.as_u64()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{Use, rows_for};
    use crate::server_run::atc11_settings;

    #[test]
    fn every_parameter_can_be_set_and_lies_in_its_range() {
        for (place, parameter) in all().enumerate() {
            assert_eq!(parameter.from_setting(parameter.as_setting(parameter.start)), parameter.start, "{}", parameter.name);
            assert!(parameter.low <= parameter.start && parameter.start <= parameter.high, "{}", parameter.name);
            let mut values: Vec<f64> = all().map(|parameter| parameter.start).collect();
            let mut before = Conditions::new("nginx-ab", atc11_settings().unwrap());
            if let Set::BaseCpi(own) = parameter.set {
                before = Conditions::new(own.workloads[0], atc11_settings().unwrap());
            }
            let mut after = before.clone();
            apply(&mut before, &values);
            values[place] = parameter.probe(parameter.start);
            apply(&mut after, &values);
            assert_ne!(before, after, "{} changes nothing", parameter.name);
        }
    }

    #[test]
    fn groups_are_fitted_to_calibration_rows_only_and_to_some() {
        let all = rows_for(&[Use::Calibration]).unwrap();
        for group in GROUPS {
            let rows = group.rows(&all);
            assert!(rows.len() > group.parameters.len(), "{}: {} rows", group.name, rows.len());
            assert!(rows.iter().all(|row| row.usage == Use::Calibration));
        }
    }
}
