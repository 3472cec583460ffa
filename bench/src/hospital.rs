//! A clinic in this process over a ledger in memory: the model of the contracts, a block whenever asked.

use crate::bedside::Gateway;
use crate::clock;
use anyhow::{Context, Result};
use clinic::{Clinic, NewPerson, Session};
use std::path::Path;
use std::sync::Arc;
use testkit::MemoryLedger;
use vault::{Costs, Entropy, Store, Vault};
use vitals::ids::{DeviceId, Genesis, Hash, StreamId};
use vitals::ledger::{Ledger, Role};

fn entropy() -> Entropy {
    Arc::new(|out: &mut [u8]| clock::entropy(out))
}

/// A block with everything that waits. No block is read again, and memory is measured: none is kept.
pub(crate) fn block(ledger: &MemoryLedger, now_ms: u64) {
    ledger.block(now_ms);
    ledger.prune(u64::MAX);
}

/// A hospital in this process.
pub(crate) struct Ward {
    pub(crate) clinic: Arc<Clinic>,
    pub(crate) ledger: Arc<MemoryLedger>,
    admin: Session,
}

impl Ward {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let now_ms = clock::now_ms();
        let vault = Vault::create(&folder.join("vault"), "bench", Costs::TEST_ONLY, entropy())?;
        let ledger = Arc::new(MemoryLedger::founded_by(vault.record_key(), now_ms));
        let genesis = vault.put_genesis_document(&ledger.document.encode())?;
        let store = Store::create(&folder.join("record"), genesis)?;
        let clinic = Clinic::open(Arc::new(vault), Arc::new(store), ledger.clone(), entropy(), now_ms)?;
        clinic.first_administrator("admin", "Admin", "bench-bench-bench", now_ms)?;
        block(&ledger, now_ms);
        let (_, admin) = clinic.sign_in("admin", "bench-bench-bench", now_ms)?;
        Ok(Self { clinic, ledger, admin })
    }

    /// Makes patients and pairs the gateways, whose sensors go on after what `history` stores.
    pub(crate) fn furnish(
        &self,
        patients: usize,
        gateways: &mut [Gateway],
        mut history: impl FnMut(Genesis, DeviceId, StreamId) -> Result<(u64, Hash)>,
    ) -> Result<()> {
        let now_ms = clock::now_ms();
        let mut made = Vec::with_capacity(patients);
        for number in 0..patients {
            let (login, name) = (format!("p{number}"), format!("Patient {number}"));
            let new = NewPerson { login: &login, name: &name, password: "bench-bench", role: Role::Patient };
            made.push(self.clinic.create_patient(&self.admin, &new, &number.to_string(), now_ms)?.0);
        }
        block(&self.ledger, now_ms);
        let mut turn = made.iter().copied().cycle();
        for gateway in gateways {
            let assigned: Vec<_> = turn.by_ref().take(gateway.sensors.len()).collect();
            let paired = self.clinic.pair(&self.admin, &gateway.request()?, &assigned, now_ms)?;
            block(&self.ledger, now_ms);
            gateway.accept(&paired.answer, &mut history)?;
        }
        self.clinic.tick(now_ms);
        Ok(())
    }

    /// Closes it and opens it again: how long that took, seconds.
    pub(crate) fn reopened(self, folder: &Path) -> Result<(Self, f64)> {
        let Self { clinic, ledger, admin } = self;
        drop(Arc::into_inner(clinic).context("nobody else holds the clinic")?);
        let began = clock::instant();
        let vault = Vault::open(&folder.join("vault"), "bench", entropy())?;
        let store = Store::open(&folder.join("record"), ledger.genesis())?;
        let now_ms = clock::now_ms();
        let clinic = Clinic::open(Arc::new(vault), Arc::new(store), ledger.clone(), entropy(), now_ms)?;
        let took_s = began.elapsed().as_secs_f64();
        Ok((Self { clinic, ledger, admin }, took_s))
    }
}
