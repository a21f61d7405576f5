//! Control records: the cuts in the event stream.

use super::damaged;
use crate::error::TraceError;

/// Registers of a system call: rdi, rsi, rdx, r10, r8, r9.
pub type Arguments = [u64; 6];

/// How control left the kernel towards user mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnFrom {
    /// From a system call; the value returned.
    Call(i64),
    /// From an interrupt or exception that came in user mode.
    Interrupt,
    /// From kernel work whose beginning is not in the trace.
    Base,
}

/// Totals in the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndTotals {
    /// Instructions recorded in user mode.
    pub user_instructions: u64,
    /// Instructions recorded in kernel mode.
    pub kernel_instructions: u64,
    /// Instructions not recorded, user mode.
    pub dropped_user_instructions: u64,
    /// Instructions not recorded, kernel mode.
    pub dropped_kernel_instructions: u64,
    /// Loads, the ones without a record too.
    pub loads: u64,
    /// Stores, the ones without a record too.
    pub stores: u64,
    /// Instruction records.
    pub run_records: u64,
    /// Load records.
    pub load_records: u64,
    /// Store records.
    pub store_records: u64,
    /// Instructions inside softirq stretches.
    pub softirq_instructions: u64,
    /// Iterations of repeated string instructions that were not counted.
    pub rep_iterations_not_counted: u64,
}

/// One control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// Last record.
    End(EndTotals),
    /// Defines or redefines a task.
    TaskDefinition {
        /// Identity inside the trace.
        id: u64,
        /// Thread id.
        thread: u64,
        /// Process id; 0 is the idle task.
        process: u64,
        /// True when the task's own work is recorded.
        kept: bool,
        /// Name.
        name: &'a [u8],
    },
    /// From here on another task runs.
    Task {
        /// Identity inside the trace.
        id: u64,
        /// True when the task's own work is recorded.
        kept: bool,
        /// True when it continues in kernel mode.
        kernel: bool,
    },
    /// The task executed `syscall`.
    Call {
        /// Call number.
        number: u64,
        /// Registers.
        arguments: Arguments,
    },
    /// The task returns to user mode.
    ReturnUser(ReturnFrom),
    /// An interrupt or exception begins.
    Interrupt {
        /// Index into the header's vectors.
        vector: u64,
        /// Hardware vector of a device interrupt, else 0.
        hardware: u64,
        /// True when it came in kernel mode.
        in_kernel: bool,
    },
    /// An interrupt that came in kernel mode has ended.
    InterruptReturn,
    /// Softirq handling begins.
    SoftirqIn,
    /// Softirq handling has ended.
    SoftirqOut,
    /// A softirq action begins (3 is network receive).
    SoftirqVector(u64),
    /// Instructions that were executed and not recorded.
    Dropped {
        /// In user mode.
        user: u64,
        /// In kernel mode.
        kernel: u64,
    },
    /// Page-table base.
    PageTable {
        /// Value.
        value: u64,
        /// True when it is a reminder at a task switch and not a write.
        at_switch: bool,
    },
    /// Single-page invalidation.
    Invalidate {
        /// Virtual address.
        address: u64,
    },
    /// Mark made by the program.
    Mark {
        /// Value.
        value: u64,
        /// Repeated string iterations not counted so far.
        rep_iterations: u64,
    },
    /// A kind of a later version, skipped.
    Unknown(u64),
}

struct Fields<'a> {
    payload: &'a [u8],
    at: usize,
    offset: usize,
}

impl Fields<'_> {
    fn next(&mut self) -> Result<u64, TraceError> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let Some(&byte) = self.payload.get(self.at) else {
                return Err(damaged(self.offset + self.at, "a control record ends inside its fields"));
            };
            self.at += 1;
            if shift > 63 {
                return Err(damaged(self.offset + self.at, "a number has more than 10 bytes"));
            }
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
            shift += 7;
        }
    }
}

/// Number of a control record's kind.
pub(crate) const KIND_END: u64 = 0;

/// Decodes the payload of a control record that starts at `offset` of the event stream.
pub(crate) fn decode(kind: u64, payload: &[u8], offset: usize) -> Result<Control<'_>, TraceError> {
    let mut fields = Fields { payload, at: 0, offset };
    Ok(match kind {
        KIND_END => Control::End(decode_end(&mut fields)?),
        1 => {
            let (id, thread, process, kept) = (fields.next()?, fields.next()?, fields.next()?, fields.next()? != 0);
            Control::TaskDefinition { id, thread, process, kept, name: &payload[fields.at..] }
        }
        2 => Control::Task { id: fields.next()?, kept: fields.next()? != 0, kernel: fields.next()? != 0 },
        3 => {
            let number = fields.next()?;
            let mut arguments = [0; 6];
            for argument in &mut arguments {
                *argument = fields.next()?;
            }
            Control::Call { number, arguments }
        }
        4 => {
            let (from, _via, value) = (fields.next()?, fields.next()?, fields.next()?);
            Control::ReturnUser(match from {
                0 => ReturnFrom::Call(value as i64),
                1 => ReturnFrom::Interrupt,
                2 => ReturnFrom::Base,
                _ => return Err(damaged(offset, format!("a return from {from}, which the format does not know"))),
            })
        }
        5 => Control::Interrupt { vector: fields.next()?, hardware: fields.next()?, in_kernel: fields.next()? != 0 },
        6 => Control::InterruptReturn,
        7 => Control::SoftirqIn,
        8 => Control::SoftirqOut,
        9 => Control::SoftirqVector(fields.next()?),
        10 => Control::Dropped { user: fields.next()?, kernel: fields.next()? },
        11 => Control::PageTable { value: fields.next()?, at_switch: fields.next()? != 0 },
        12 => Control::Invalidate { address: fields.next()? },
        13 => Control::Mark { value: fields.next()?, rep_iterations: fields.next()? },
        other => Control::Unknown(other),
    })
}

fn decode_end(fields: &mut Fields<'_>) -> Result<EndTotals, TraceError> {
    Ok(EndTotals {
        user_instructions: fields.next()?,
        kernel_instructions: fields.next()?,
        dropped_user_instructions: fields.next()?,
        dropped_kernel_instructions: fields.next()?,
        loads: fields.next()?,
        stores: fields.next()?,
        run_records: fields.next()?,
        load_records: fields.next()?,
        store_records: fields.next()?,
        softirq_instructions: fields.next()?,
        rep_iterations_not_counted: fields.next()?,
    })
}
