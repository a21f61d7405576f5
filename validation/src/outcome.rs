//! What the model says to a published row.

use sim_core::estimate::Estimate;

/// The model's value: a number in the row's unit, or a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// A number with its interval over the seeds.
    Number(Estimate),
    /// A row that stands for several conditions (numbers of cores), each of which must hold.
    Each(Vec<(String, Estimate)>),
    /// A word, out of those that the row could say.
    Word(String),
}

impl Predicted {
    /// The number with its interval, if it is one; of several their mean.
    pub fn estimate(&self) -> Option<Estimate> {
        match self {
            Predicted::Number(estimate) => Some(*estimate),
            Predicted::Each(each) => {
                let mean = |of: fn(&Estimate) -> f64| each.iter().map(|one| of(&one.1)).sum::<f64>() / each.len() as f64;
                let n = each.first()?.1.n;
                Some(Estimate { mean: mean(|one| one.mean), low: mean(|one| one.low), high: mean(|one| one.high), n })
            }
            Predicted::Word(_) => None,
        }
    }

    /// The number, if it is one; of several their mean.
    pub fn number(&self) -> Option<f64> {
        self.estimate().map(|estimate| estimate.mean)
    }
}

/// What the prediction becomes over something that nobody published.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Lowest prediction.
    pub low: f64,
    /// Highest prediction.
    pub high: f64,
    /// What is varied, and by how much.
    pub freedom: String,
}

/// The number that decides which word is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is.
    pub what: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// The model's answer to one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The value.
    pub value: Predicted,
    /// What a word was read off, where one number decides it.
    pub reading: Option<Reading>,
    /// Its range over an unpublished freedom, where there is one.
    pub range: Option<Range>,
    /// One sentence: what it was read from and what it rests on.
    pub rests_on: String,
}

impl Outcome {
    /// A number with its interval.
    pub fn number(value: Estimate, rests_on: impl Into<String>) -> Outcome {
        Outcome { value: Predicted::Number(value), reading: None, range: None, rests_on: rests_on.into() }
    }

    /// Several numbers that must all hold, each with the condition that it belongs to.
    pub fn each(values: Vec<(String, Estimate)>, rests_on: impl Into<String>) -> Outcome {
        Outcome { value: Predicted::Each(values), reading: None, range: None, rests_on: rests_on.into() }
    }

    /// A number that is exact given what was run: a point of a sweep.
    pub fn exact(value: f64, rests_on: impl Into<String>) -> Outcome {
        Outcome::number(Estimate::exact(value, 1), rests_on)
    }

    /// A word.
    pub fn word(value: impl Into<String>, rests_on: impl Into<String>) -> Outcome {
        Outcome { value: Predicted::Word(value.into()), reading: None, range: None, rests_on: rests_on.into() }
    }

    /// With the number that decided the word.
    #[must_use]
    pub fn read_off(mut self, what: &'static str, value: f64, unit: &'static str) -> Outcome {
        self.reading = Some(Reading { what, value, unit });
        self
    }

    /// With the range over an unpublished freedom, spanned by these values and the prediction itself.
    #[must_use]
    pub fn over(mut self, freedom: impl Into<String>, values: &[f64]) -> Outcome {
        let all = || values.iter().copied().chain(self.value.number());
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        self.range = Some(Range { low, high, freedom: freedom.into() });
        self
    }
}
