//! Advice: which way of issuing calls would serve a workload best, what it would bring and cost, when it would lose, and how sure that is.
//!
//! [`gather`](gather::gather) simulates, [`decide`] judges. The judgement is a pure function of reports: nothing in it knows how they came
//! about, and nothing is recommended that the interval and the model's own error do not separate from no gain at all.

mod calls;
mod confidence;
mod decide;
mod evidence;
mod gather;
mod outcome;
mod port;
mod race;
mod result;
mod search;
#[cfg(test)]
mod tests;

pub use decide::{chosen, decide};
pub use evidence::{Evidence, Place, Setting, Subject, Trial, candidates};
pub use gather::gather;
pub use result::{
    Advice, Basis, CallAdvice, Candidate, Confidence, ConfidenceClass, Costs, Decision, Elsewhere, Measure, Outcome, Reason,
    Recommendation, Verdict,
};
pub use search::{BUDGET_DEFAULT, BudgetError};
