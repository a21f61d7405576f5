//! The other end of the wire: who sends requests, over which link, with how much processor.

use serde::{Deserialize, Serialize};
use sim_core::workload::{Program, Workload};

/// Where the clients run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// On another machine, behind a link and a network card.
    Remote,
    /// As in the captures: one client task on the server's own core over loopback.
    Recorded,
}

/// When requests come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Each connection sends its next request when it has the reply to the last one.
    Closed,
    /// Requests arrive at a rate (Poisson), whatever the replies; connections are drawn in turn.
    Open {
        /// Requests per second.
        rate_rps: f64,
    },
    /// Partly open, as httperf: connections arrive at a rate whatever the replies; each sends so many requests, the next one when it has
    /// the reply to the last, and closes. `run.connections` are the most that the clients may have at the same time.
    Sessions {
        /// Requests per second that are offered: connections arrive at this rate divided by the requests that each carries.
        rate_rps: f64,
        /// Requests that a connection carries.
        requests_per_connection: u32,
        /// How arrivals are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// As open, at a rate that changes in steps: `steps([(duration_us, rate_rps), …])`. The durations count from the opening of the
    /// measured window; before it the first step's rate holds, after the last step the last one's.
    Steps(Vec<LoadStep>),
}

/// How arrivals of connections are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// At a fixed period: what `httperf --rate` does (its manual, `--rate` and `--period`: deterministic unless told otherwise).
    #[default]
    Periodic,
    /// A Poisson stream (`httperf --period=e…`).
    Poisson,
}

/// A stretch of time with a rate of arrivals: duration in microseconds, requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadStep(pub f64, pub f64);

impl LoadStep {
    /// Arrivals to expect in the step.
    pub fn arrivals(&self) -> f64 {
        self.0 * self.1 / 1e6
    }
}

impl Arrival {
    /// The steps of load, if there are any.
    pub fn steps(&self) -> Option<&[LoadStep]> {
        match self {
            Arrival::Steps(steps) => Some(steps),
            Arrival::Closed | Arrival::Open { .. } | Arrival::Sessions { .. } => None,
        }
    }

    /// True when the time between arrivals is always the same.
    pub fn is_periodic(&self) -> bool {
        matches!(self, Arrival::Sessions { spacing: Spacing::Periodic, .. })
    }

    /// Arrivals per second `elapsed_us` after the measured window opened, and when that rate ends, if it does. `None` in a closed loop.
    pub fn rate(&self, elapsed_us: f64) -> Option<(f64, Option<f64>)> {
        match self {
            Arrival::Closed => None,
            Arrival::Open { rate_rps } => Some((*rate_rps, None)),
            Arrival::Sessions { rate_rps, requests_per_connection, .. } => {
                Some((rate_rps / f64::from((*requests_per_connection).max(1)), None))
            }
            Arrival::Steps(steps) => {
                let mut end = 0.0;
                for step in steps.iter().take(steps.len().saturating_sub(1)) {
                    end += step.0;
                    if elapsed_us < end {
                        return Some((step.1, Some(end)));
                    }
                }
                steps.last().map(|step| (step.1, None))
            }
        }
    }
}

/// The clients and their link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Remote or recorded.
    pub kind: ClientKind,
    /// Closed loop or a rate.
    pub arrival: Arrival,
    /// Pause between reply and next request in a closed loop, microseconds.
    pub think_us: f64,
    /// Link rate in each direction, megabits per second.
    pub link_rate_mbps: f64,
    /// One-way delay of the link with its switch, microseconds.
    pub link_delay_us: f64,
    /// Cores of the client machine.
    pub cores: u32,
    /// Processor time of the client machine per request, microseconds.
    pub service_us: f64,
}

impl Default for Clients {
    /// A 10 Gb/s link with one switch and a client machine that does not get in the way.
    fn default() -> Self {
        Clients {
            kind: ClientKind::Remote,
            arrival: Arrival::Closed,
            think_us: 0.0,
            link_rate_mbps: 10_000.0,
            // Kernel-to-kernel one-way time through one cut-through switch, without the hosts' own processing.
            link_delay_us: 10.0,
            cores: 16,
            // Generators such as memtier or wrk do a request in 3 to 6 us of processor time.
            service_us: 5.0,
        }
    }
}

/// A client description that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clients.{field}: {cause}")]
pub struct ClientsError {
    /// The field.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub cause: &'static str,
}

impl Clients {
    /// Checks ranges.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), ClientsError> {
        let fail = |field, cause| Err(ClientsError { field, cause });
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        if !positive(self.link_rate_mbps) {
            return fail("link_rate_mbps", "must be above 0");
        }
        if !not_negative(self.link_delay_us) {
            return fail("link_delay_us", "must not be negative");
        }
        if !not_negative(self.think_us) {
            return fail("think_us", "must not be negative");
        }
        if !not_negative(self.service_us) {
            return fail("service_us", "must not be negative");
        }
        if self.cores == 0 {
            return fail("cores", "must be at least 1");
        }
        if let Arrival::Open { rate_rps } = self.arrival
            && !positive(rate_rps)
        {
            return fail("arrival.rate_rps", "must be above 0");
        }
        if let Arrival::Sessions { rate_rps, requests_per_connection, .. } = self.arrival {
            if !positive(rate_rps) {
                return fail("arrival.rate_rps", "must be above 0");
            }
            if requests_per_connection == 0 {
                return fail("arrival.requests_per_connection", "must be at least 1");
            }
        }
        if let Arrival::Steps(steps) = &self.arrival {
            if steps.is_empty() {
                return fail("arrival.steps", "needs at least one step: steps([(duration_us, rate_rps)])");
            }
            if !steps.iter().all(|step| positive(step.0) && not_negative(step.1)) {
                return fail("arrival.steps", "every step needs a duration above 0 us and a rate that is not negative");
            }
            // the first rate holds in the warm-up and the last one until the measured requests are done
            if ![steps.first(), steps.last()].into_iter().flatten().all(|step| positive(step.1)) {
                return fail("arrival.steps", "the first and the last rate must be above 0");
            }
        }
        if self.kind == ClientKind::Recorded && self.arrival != Arrival::Closed {
            return fail("arrival", "the recorded client is a closed loop; rates, sessions and steps need --client remote");
        }
        Ok(())
    }
}

impl Clients {
    /// Checks that a workload can be asked this way: connections that open and close in the run need a recording that shows it.
    ///
    /// # Errors
    /// What the recording lacks.
    pub fn fit(&self, workload: &Workload) -> Result<(), ClientsError> {
        let Arrival::Sessions { requests_per_connection, .. } = self.arrival else { return Ok(()) };
        let fail = |cause| Err(ClientsError { field: "arrival", cause });
        match (workload.program, workload.connection_per_request) {
            (Program::Sequential, _) => Ok(()),
            (_, true) if requests_per_connection == 1 => Ok(()),
            (_, true) => {
                fail("the recorded program closes every connection after one request: requests_per_connection can only be 1")
            }
            _ if workload.datagram => fail("clients of a datagram server have no connections: use a rate alone"),
            _ if !workload.connection.is_recorded() => fail(
                "the recording shows no connection that is accepted, carries several requests and is closed: what that costs is not \
                 known. Use a rate alone, or a workload that shows it (nginx-keepalive)",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(steps: &[(f64, f64)]) -> Clients {
        let arrival = Arrival::Steps(steps.iter().map(|step| LoadStep(step.0, step.1)).collect());
        Clients { arrival, ..Clients::default() }
    }

    #[test]
    fn the_rate_in_force_follows_the_steps_and_the_last_one_stays() {
        let arrival = steps(&[(100.0, 10.0), (50.0, 0.0), (200.0, 30.0)]).arrival;
        assert_eq!(arrival.rate(0.0), Some((10.0, Some(100.0))));
        assert_eq!(arrival.rate(99.0), Some((10.0, Some(100.0))));
        assert_eq!(arrival.rate(100.0), Some((0.0, Some(150.0))));
        assert_eq!(arrival.rate(150.0), Some((30.0, None)));
        assert_eq!(arrival.rate(1e9), Some((30.0, None)));
        assert_eq!(Arrival::Closed.rate(0.0), None);
        assert_eq!(Arrival::Open { rate_rps: 5.0 }.rate(1.0), Some((5.0, None)));
    }

    #[test]
    fn steps_that_cannot_end_are_refused() {
        assert!(steps(&[(100.0, 10.0), (50.0, 0.0), (200.0, 30.0)]).validate().is_ok());
        for refused in [&[][..], &[(100.0, 0.0)], &[(0.0, 5.0)], &[(100.0, 10.0), (100.0, -1.0)], &[(100.0, 10.0), (100.0, 0.0)]] {
            let error = steps(refused).validate().unwrap_err();
            assert_eq!(error.field, "arrival.steps", "{refused:?}");
        }
        let recorded = Clients { kind: ClientKind::Recorded, ..steps(&[(100.0, 10.0)]) };
        assert_eq!(recorded.validate().unwrap_err().field, "arrival");
    }
}
