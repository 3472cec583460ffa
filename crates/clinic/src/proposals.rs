//! The organisation's voice among the others: what its administrator proposes and votes for.

use crate::accounts::Session;
use crate::acts::Ticket;
use crate::clinic::Clinic;
use crate::errors::ClinicError;
use vitals::governance::Motion;
use vitals::ledger::{Act, Role};

impl Clinic {
    /// Proposes a change of validators or organisations to the others.
    ///
    /// # Errors
    /// [`ClinicError::Denied`] for anybody but administrators, or on an old ledger view.
    pub fn propose(&self, session: &Session, motion: Motion, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        self.submit(Act::Propose(motion), "proposal", now_ms)
    }

    /// Votes for a proposal.
    ///
    /// # Errors
    /// As [`Clinic::propose`].
    pub fn vote(&self, session: &Session, proposal: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        self.submit(Act::Vote { proposal }, "vote", now_ms)
    }

    /// Carries out a proposal whose votes became enough because others lost their seats.
    ///
    /// # Errors
    /// As [`Clinic::propose`].
    pub fn carry_out(&self, session: &Session, proposal: u64, now_ms: u64) -> Result<Ticket, ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        self.submit(Act::Settle { proposal }, "proposal to be carried out", now_ms)
    }

    /// Says on the ledger where a validator of this organisation is reached.
    ///
    /// # Errors
    /// As [`Clinic::propose`].
    pub fn announce(
        &self,
        session: &Session,
        validator: [u8; 32],
        endpoint: String,
        now_ms: u64,
    ) -> Result<Ticket, ClinicError> {
        self.deciding(session, &[Role::Administrator], now_ms)?;
        self.submit(Act::Announce { validator, endpoint }, "address of a validator", now_ms)
    }
}
