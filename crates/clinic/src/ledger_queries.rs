//! The ledger laid open, for administrators and auditors.

use crate::accounts::Session;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vitals::explorer::{Block, BlockQuery, Blocks, Explorer, Governance, Transaction};
use vitals::ids::Hash;
use vitals::ledger::Role;

/// Who may look into the ledger.
const LOOKERS: [Role; 2] = [Role::Administrator, Role::Auditor];

impl Clinic {
    /// Blocks, newest first.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators and auditors; otherwise why the ledger
    /// does not answer.
    pub fn ledger_blocks(
        &self,
        session: &Session,
        query: &BlockQuery,
        now_ms: u64,
    ) -> Result<Blocks, ClinicError> {
        Ok(self.explorer(session, now_ms)?.blocks(query)?)
    }

    /// One block with its transactions from the `first` on; nothing if there is none at this height.
    ///
    /// # Errors
    /// As [`Clinic::ledger_blocks`].
    pub fn ledger_block(
        &self,
        session: &Session,
        height: u64,
        first: usize,
        now_ms: u64,
    ) -> Result<Option<Block>, ClinicError> {
        Ok(self.explorer(session, now_ms)?.block(height, first)?)
    }

    /// One transaction; nothing if none of this name is known here.
    ///
    /// # Errors
    /// As [`Clinic::ledger_blocks`].
    pub fn ledger_transaction(
        &self,
        session: &Session,
        id: &Hash,
        now_ms: u64,
    ) -> Result<Option<Transaction>, ClinicError> {
        Ok(self.explorer(session, now_ms)?.transaction(id)?)
    }

    /// Digest of the header of the block at `height`, for everybody with a role: a page remembers
    /// what it saw and asks for it again. Nothing if there is none at this height.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] to whom the ledger does not hold in the role of the session; otherwise why the ledger does not answer.
    pub fn ledger_head(
        &self,
        session: &Session,
        height: u64,
        now_ms: u64,
    ) -> Result<Option<Hash>, ClinicError> {
        self.require(session, &[session.role], now_ms).map_err(|why| self.denied(why))?;
        let explorer = self.ledger().explorer().ok_or(ClinicError::Elsewhere)?;
        // Past every transaction: the header is all that is asked for.
        Ok(explorer.block(height, usize::MAX)?.map(|block| block.digest))
    }

    /// The validators: who they are, what may change that, who lied, and how they are.
    ///
    /// # Errors
    /// As [`Clinic::ledger_blocks`].
    pub fn ledger_governance(&self, session: &Session, now_ms: u64) -> Result<Governance, ClinicError> {
        Ok(self.explorer(session, now_ms)?.governance()?)
    }

    /// May this session propose changes of validators and vote on them now?
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators, or on an old ledger view.
    pub fn may_govern(&self, session: &Session, now_ms: u64) -> Result<(), ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)
    }

    /// The decision comes first; whether there is anything to see, after it.
    fn explorer(&self, session: &Session, now_ms: u64) -> Result<&dyn Explorer, ClinicError> {
        self.require(session, &LOOKERS, now_ms).map_err(|why| self.denied(why))?;
        self.ledger().explorer().ok_or(ClinicError::Elsewhere)
    }
}
