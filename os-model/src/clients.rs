//! The other end of the wire: who sends requests, over which link, with how much processor.

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Each connection sends its next request when it has the reply to the last one.
    Closed,
    /// Requests arrive at a rate (Poisson), whatever the replies; connections are drawn in turn.
    Open {
        /// Requests per second.
        rate_rps: f64,
    },
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
        if self.kind == ClientKind::Recorded && self.arrival != Arrival::Closed {
            return fail("arrival", "the recorded client is a closed loop; a rate needs --client remote");
        }
        Ok(())
    }
}
