//! Who evicts whom as a matrix: evictors in rows, victims in columns.

use cpu_model::{LedgerRow, Structure, VictimLedger};
use sim_core::context::Agent;
use sim_core::ids::Mode;
use sim_core::report::EvictorRow;
use std::collections::BTreeMap;

/// What a cell shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Misses per request.
    #[default]
    Misses,
    /// Cycles per request that the victim waits for those misses.
    Cycles,
    /// Misses as a part of all misses of the victim.
    Share,
}

impl Measure {
    /// The next one in turn.
    pub fn next(self) -> Measure {
        match self {
            Measure::Misses => Measure::Cycles,
            Measure::Cycles => Measure::Share,
            Measure::Share => Measure::Misses,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Misses => "misses a request",
            Measure::Cycles => "cycles waited a request",
            Measure::Share => "share of the victim's misses",
        }
    }
}

/// Misses whose line one evictor had pushed out, and the cycles waited for them, per request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Misses per request.
    pub misses: f64,
    /// Exposed stall cycles per request.
    pub cycles: f64,
}

/// A matrix of one structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// Names of the columns.
    pub victims: Vec<String>,
    /// Names of the rows.
    pub evictors: Vec<String>,
    /// By row, then column.
    pub cells: Vec<Vec<Cell>>,
    /// Misses per request of each column in rows that are filtered out.
    hidden: Vec<f64>,
}

/// An evictor that is its own victim.
pub const ITSELF: &str = "itself";

/// An evictor of the victim's own mode.
const SAME: &str = "same";

/// Causes that are nobody's eviction stand last.
const CAUSES: [&str; 3] = ["coherence", "flush", "never"];

impl Matrix {
    /// The two modes as victims, from a report. Per request of the report's requests.
    pub fn of_modes(rows: &[EvictorRow], structure: Structure, requests: u64) -> Matrix {
        let mut builder = Builder::default();
        for mode in Mode::ALL {
            builder.victim(mode.name());
        }
        for row in rows.iter().filter(|row| row.structure == structure.name()) {
            builder.add(&row.evictor, row.mode.name(), row.misses, row.cycles);
        }
        builder.finish(requests, Order::AsGiven)
    }

    /// The agents of one mode as victims: calls, softirq, scheduler … Per request of `requests`.
    pub fn of_agents(victims: &[VictimLedger], structure: Structure, mode: Mode, requests: u64) -> Matrix {
        let mut builder = Builder::default();
        let fits = |row: &&LedgerRow| row.structure == structure && row.mode == mode;
        for own in victims {
            for row in own.ledger.rows.iter().filter(fits) {
                let evictor = if row.evictor == own.victim { ITSELF.to_owned() } else { row.evictor.name() };
                builder.add(&evictor, &own.victim.name(), row.misses, row.cycles);
            }
        }
        builder.finish(requests, Order::ByMisses)
    }

    /// What a cell shows.
    pub fn value(&self, row: usize, column: usize, measure: Measure) -> f64 {
        let Some(cell) = self.cells.get(row).and_then(|cells| cells.get(column)) else { return 0.0 };
        match measure {
            Measure::Misses => cell.misses,
            Measure::Cycles => cell.cycles,
            Measure::Share => {
                let hidden = self.hidden.get(column).copied().unwrap_or(0.0);
                let all: f64 = self.cells.iter().map(|cells| cells[column].misses).sum::<f64>() + hidden;
                if all > 0.0 { cell.misses / all } else { 0.0 }
            }
        }
    }

    /// Misses per request of a column in all rows, and in those of other code than the mode's own: no cause and not the same mode.
    pub fn totals(&self, column: usize) -> (f64, f64) {
        let misses = |row: &Vec<Cell>| row.get(column).map_or(0.0, |cell| cell.misses);
        let foreign = |name: &str| name != SAME && !CAUSES.contains(&name);
        let others = self.evictors.iter().zip(&self.cells).filter(|(name, _)| foreign(name)).map(|(_, row)| misses(row)).sum();
        (self.cells.iter().map(misses).sum(), others)
    }

    /// The largest value: what is shown darkest.
    pub fn largest(&self, measure: Measure) -> f64 {
        let columns = 0..self.victims.len();
        let cells = (0..self.evictors.len()).flat_map(|row| columns.clone().map(move |column| (row, column)));
        cells.map(|(row, column)| self.value(row, column, measure)).fold(0.0, f64::max)
    }

    /// What the cell of an evictor and a victim shows; 0 where there is none.
    pub fn value_of(&self, evictor: &str, victim: &str, measure: Measure) -> f64 {
        let place = |names: &[String], name: &str| names.iter().position(|own| own == name);
        match (place(&self.evictors, evictor), place(&self.victims, victim)) {
            (Some(row), Some(column)) => self.value(row, column, measure),
            _ => 0.0,
        }
    }

    /// The rows whose evictors' names are let through; all columns stay, so that shares keep their meaning.
    pub fn filtered(mut self, lets_through: impl Fn(&str) -> bool) -> Matrix {
        self.hidden = hidden(&self, &lets_through);
        let keep: Vec<bool> = self.evictors.iter().map(|name| lets_through(name)).collect();
        let mut kept = keep.iter();
        self.evictors.retain(|_| kept.next().copied().unwrap_or(false));
        let mut kept = keep.iter();
        self.cells.retain(|_| kept.next().copied().unwrap_or(false));
        self
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.evictors.is_empty()
    }
}

/// Misses of each column in the rows that are not let through.
fn hidden(matrix: &Matrix, lets_through: &impl Fn(&str) -> bool) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.victims.len()];
    for (_, cells) in matrix.evictors.iter().zip(&matrix.cells).filter(|(name, _)| !lets_through(name)) {
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell.misses);
    }
    sums
}

/// The agent of a name that a matrix shows; nothing for causes and for sums over agents.
pub fn agent_of(name: &str) -> Option<Agent> {
    let fixed = [Agent::USER, Agent::INTERRUPT, Agent::SOFTIRQ, Agent::SCHEDULER, Agent::MECHANISM, Agent::ELEVATED];
    let by_name = || sim_core::calls::CallNumber::from_name(name).map(Agent::call);
    fixed.into_iter().find(|agent| agent.name() == name).or_else(by_name)
}

/// Order of the columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AsGiven,
    /// Those with the most misses first.
    ByMisses,
}

/// Collects cells under names.
#[derive(Default)]
struct Builder {
    victims: Vec<String>,
    sums: BTreeMap<String, Sums>,
}

/// Misses and cycles of one row by column.
type Sums = BTreeMap<usize, (u64, u64)>;

impl Builder {
    fn victim(&mut self, name: &str) -> usize {
        let known = self.victims.iter().position(|own| own == name);
        known.unwrap_or_else(|| {
            self.victims.push(name.to_owned());
            self.victims.len() - 1
        })
    }

    fn add(&mut self, evictor: &str, victim: &str, misses: u64, cycles: u64) {
        let column = self.victim(victim);
        let sum = self.sums.entry(evictor.to_owned()).or_default().entry(column).or_default();
        sum.0 += misses;
        sum.1 += cycles;
    }

    /// Rows with the most misses first, causes last.
    fn finish(self, requests: u64, order: Order) -> Matrix {
        let requests = requests.max(1) as f64;
        let mut columns: Vec<usize> = (0..self.victims.len()).collect();
        let of_column = |column: &usize| self.sums.values().filter_map(|row| row.get(column)).map(|sum| sum.0).sum::<u64>();
        if order == Order::ByMisses {
            columns.sort_by_key(|column| std::cmp::Reverse(of_column(column)));
        }
        let mut rows: Vec<(&String, &Sums)> = self.sums.iter().collect();
        let of_row = |row: &Sums| row.values().map(|sum| sum.0).sum::<u64>();
        let place = |name: &str| CAUSES.iter().position(|cause| *cause == name).map_or(0, |position| position + 1);
        rows.sort_by_key(|(name, row)| (place(name), std::cmp::Reverse(of_row(row))));
        let cell = |sum: Option<&(u64, u64)>| {
            sum.map_or(Cell::default(), |sum| Cell { misses: sum.0 as f64 / requests, cycles: sum.1 as f64 / requests })
        };
        Matrix {
            victims: columns.iter().map(|column| self.victims[*column].clone()).collect(),
            evictors: rows.iter().map(|(name, _)| (*name).clone()).collect(),
            cells: rows.iter().map(|(_, row)| columns.iter().map(|column| cell(row.get(column))).collect()).collect(),
            hidden: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu_model::LedgerSummary;

    fn row(mode: Mode, evictor: &str, misses: u64, cycles: u64) -> EvictorRow {
        EvictorRow { structure: "l1i".into(), mode, evictor: evictor.into(), misses, cycles }
    }

    #[test]
    fn modes_are_the_columns_and_causes_stand_last() {
        let rows = [
            row(Mode::User, "never", 900, 9),
            row(Mode::User, "sendmsg", 30, 300),
            row(Mode::Kernel, "user", 60, 120),
            row(Mode::Kernel, "same", 10, 20),
        ];
        let matrix = Matrix::of_modes(&rows, Structure::L1i, 10);
        assert_eq!(matrix.evictors, ["user", "sendmsg", "same", "never"]);
        assert_eq!(matrix.victims, ["user", "kernel"]);
        assert_eq!((matrix.value(1, 0, Measure::Misses), matrix.value(1, 0, Measure::Cycles)), (3.0, 30.0));
        assert!((matrix.value(1, 0, Measure::Share) - 30.0 / 930.0).abs() < 1e-12);
        assert_eq!(matrix.value(1, 1, Measure::Misses), 0.0);
        assert_eq!(matrix.largest(Measure::Misses), 90.0);
        assert_eq!((matrix.totals(0), matrix.totals(1)), ((93.0, 3.0), (7.0, 6.0)));
        assert!(Matrix::of_modes(&rows, Structure::L2, 10).is_empty());
        let filtered = matrix.clone().filtered(|name| name == "sendmsg");
        assert_eq!(filtered.evictors, ["sendmsg"]);
        assert_eq!(filtered.value(0, 0, Measure::Share), matrix.value_of("sendmsg", "user", Measure::Share));
        assert_eq!(matrix.value_of("nobody", "user", Measure::Misses), 0.0);
    }

    #[test]
    fn agents_of_a_mode_are_told_apart() {
        let row =
            |evictor, misses| LedgerRow { structure: Structure::L2, mode: Mode::Kernel, evictor, misses, cycles: misses * 10 };
        let victims = [
            VictimLedger {
                victim: Agent::SOFTIRQ,
                ledger: LedgerSummary { rows: vec![row(Agent::SOFTIRQ, 4), row(Agent::USER, 6)] },
            },
            VictimLedger { victim: Agent::SCHEDULER, ledger: LedgerSummary { rows: vec![row(Agent::SOFTIRQ, 2)] } },
        ];
        let matrix = Matrix::of_agents(&victims, Structure::L2, Mode::Kernel, 2);
        assert_eq!(
            (&matrix.victims[..], &matrix.evictors[..]),
            (&["softirq".into(), "scheduler".into()][..], &["user".into(), "itself".into(), "softirq".into()][..])
        );
        assert_eq!((matrix.value(2, 1, Measure::Misses), matrix.value(2, 1, Measure::Share)), (1.0, 1.0));
        assert!(Matrix::of_agents(&victims, Structure::L2, Mode::User, 2).is_empty());
    }

    #[test]
    fn names_lead_back_to_agents() {
        assert_eq!(agent_of("softirq"), Some(Agent::SOFTIRQ));
        assert_eq!(agent_of("read"), Some(Agent::call(sim_core::calls::CallNumber::READ)));
        assert_eq!((agent_of("never"), agent_of("same"), agent_of("itself")), (None, None, None));
    }
}
