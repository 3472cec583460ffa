//! Receipts: the effects of transactions.

use alloy_primitives::{Log, LogData};
use revm::context::result::ExecutionResult;
use vitals::cbor::{NotCanonical, Reader, Writer};

/// Longest revert data kept, bytes: a custom error with a few words.
pub const REVERT_BYTES_MAX: usize = 256;
/// Longest receipt read back from the store.
const RECEIPT_BYTES_MAX: usize = 1 << 24;
const LOGS_MAX: usize = 1 << 16;

/// The effects of a transaction. Its CBOR is what a block's receipts root commits to:
/// `[succeeded, gas, revert data, [[address, [topic...], data]...]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// False if it reverted or ran out of gas: it changed nothing but its sender's nonce.
    pub succeeded: bool,
    /// Gas it used.
    pub gas: u64,
    /// The first bytes a reverted transaction gave as its reason.
    pub revert: Vec<u8>,
    /// Events.
    pub logs: Vec<Log>,
}

impl Receipt {
    pub(crate) fn of(result: ExecutionResult) -> Self {
        let gas = result.tx_gas_used();
        match result {
            ExecutionResult::Success { logs, .. } => Self { succeeded: true, gas, revert: Vec::new(), logs },
            ExecutionResult::Revert { output, .. } => {
                let revert = output[..output.len().min(REVERT_BYTES_MAX)].to_vec();
                Self { succeeded: false, gas, revert, logs: Vec::new() }
            }
            ExecutionResult::Halt { .. } => {
                Self { succeeded: false, gas, revert: Vec::new(), logs: Vec::new() }
            }
        }
    }

    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(4).uint(u64::from(self.succeeded)).uint(self.gas).bytes(&self.revert);
        w.array(self.logs.len());
        for log in &self.logs {
            w.array(3).bytes(log.address.as_slice()).array(log.topics().len());
            for topic in log.topics() {
                w.bytes(topic.as_slice());
            }
            w.bytes(&log.data.data);
        }
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotCanonical> {
        let mut r = Reader::new(bytes);
        r.array(4)?;
        let (succeeded, gas) = (r.uint_max(1)? == 1, r.uint()?);
        let revert = r.bytes(REVERT_BYTES_MAX)?.to_vec();
        let logs = r.list(LOGS_MAX, |r| {
            r.array(3)?;
            let address = r.fixed::<20>()?.into();
            let topics = r.list(4, |r| Ok(r.fixed::<32>()?.into()))?;
            let data = r.bytes(RECEIPT_BYTES_MAX)?.to_vec().into();
            Ok(Log { address, data: LogData::new_unchecked(topics, data) })
        })?;
        r.end()?;
        Ok(Self { succeeded, gas, revert, logs })
    }
}
