//! The budget of one request: work in units of gas, and bytes of answer. A batch has the same budget as a
//! single call.

use super::errors::RpcRefusal;

/// Work of one request: eight calls of the largest kind, some tenths of a second.
pub const WORK_MAX: u64 = 1 << 27;
/// Longest answer, bytes: a full block with its transactions.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Work of any call.
const CALL: u64 = 10_000;
/// Recovering a transaction's sender from its signature.
pub(super) const SENDER: u64 = 20_000;
/// Looking a height up.
pub(super) const HEIGHT: u64 = 50;
/// Opening a block.
pub(super) const BLOCK: u64 = 5_000;
/// Reading a receipt.
pub(super) const RECEIPT: u64 = 500;
/// Proving a slot or an account.
pub(super) const PROOF: u64 = 20_000;

/// The remaining budget.
#[derive(Debug)]
pub(super) struct WorkBudget {
    gas: u64,
    bytes: usize,
}

impl Default for WorkBudget {
    fn default() -> Self {
        Self { gas: WORK_MAX, bytes: ANSWER_BYTES_MAX }
    }
}

impl WorkBudget {
    #[cfg(test)]
    pub(super) fn of(gas: u64) -> Self {
        Self { gas, ..Self::default() }
    }

    fn over() -> RpcRefusal {
        RpcRefusal::limit(
            "this request asks for more work than one may: ask for less, or in several requests",
        )
    }

    /// One more call.
    pub(super) fn call(&mut self) -> Result<(), RpcRefusal> {
        self.spend(CALL)?;
        self.bytes(64)
    }

    /// Spends work before it is done.
    pub(super) fn spend(&mut self, gas: u64) -> Result<(), RpcRefusal> {
        self.gas = self.gas.checked_sub(gas).ok_or_else(Self::over)?;
        Ok(())
    }

    /// Is there any left? For work whose cost is known afterwards, bounded otherwise.
    pub(super) fn any(&self) -> Result<(), RpcRefusal> {
        if self.gas == 0 { Err(Self::over()) } else { Ok(()) }
    }

    /// Spends work that is done.
    pub(super) fn spent(&mut self, gas: u64) {
        self.gas = self.gas.saturating_sub(gas);
    }

    /// Makes room for so many bytes more of the answer.
    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), RpcRefusal> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            RpcRefusal::limit(format!(
                "the answer would be longer than {ANSWER_BYTES_MAX} bytes: ask for less, or in several requests"
            ))
        })?;
        Ok(())
    }
}
