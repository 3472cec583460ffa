//! How often a sensor sends, as it announced when it was paired.

use crate::error::VaultError;
use crate::sealed_tables::Table;
use crate::vault::Vault;
use vitals::DeviceId;
use vitals::cbor::{NotCanonical, Reader, Writer};

const VERSION: u64 = 1;

fn read(row: &[u8]) -> Result<u64, NotCanonical> {
    let mut r = Reader::new(row);
    r.array(2)?;
    r.exactly(VERSION)?;
    let interval_ms = r.uint()?;
    r.end()?;
    Ok(interval_ms)
}

impl Vault {
    /// Keeps how often a sensor sends at least, milliseconds; every second for one that announced nothing.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub fn put_interval(&self, sensor: DeviceId, interval_ms: u64) -> Result<(), VaultError> {
        let _changing = self.changing();
        let mut w = Writer::new();
        w.array(2).uint(VERSION).uint(interval_ms);
        self.tables.put(&[(Table::Intervals, &sensor.0, &w.finish())])
    }

    /// How often a sensor sends at least, milliseconds, if it was kept.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::Database`].
    pub fn interval(&self, sensor: DeviceId) -> Result<Option<u64>, VaultError> {
        let row = self.tables.get(Table::Intervals, &sensor.0)?;
        let damaged = |_| VaultError::Damaged("an interval is not readable".into());
        row.map(|row| read(&row).map_err(damaged)).transpose()
    }
}
