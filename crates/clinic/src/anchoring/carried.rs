//! Which streams each gateway carried before this node started, for the first time that it connects.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use vitals::DeviceId;
use vitals::ids::StreamId;

/// Streams by gateway. Made once, with one look at every stream, when the first gateway connects: what is
/// admitted later is owed as it comes. Owns its lock; store, vault and ledger are asked without it.
#[derive(Debug, Default)]
pub(crate) struct Carried(Mutex<Option<BTreeMap<DeviceId, Vec<StreamId>>>>);

impl Carried {
    /// Takes what this gateway carried; `look` looks at every stream. Call it from one thread.
    pub(super) fn of(
        &self,
        gateway: DeviceId,
        look: impl FnOnce() -> BTreeMap<DeviceId, Vec<StreamId>>,
    ) -> Vec<StreamId> {
        if self.0.lock().is_none() {
            let streams = look();
            *self.0.lock() = Some(streams);
        }
        self.0.lock().as_mut().and_then(|streams| streams.remove(&gateway)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_looked_at_once_however_many_gateways_connect() {
        let carried = Carried::default();
        let stream = |number: u8| StreamId([number; 16]);
        let mut looks = 0;
        for number in [1, 2, 3, 1] {
            let got = carried.of(DeviceId([number; 16]), || {
                looks += 1;
                (1..3).map(|number| (DeviceId([number; 16]), vec![stream(number)])).collect()
            });
            let wanted = if looks == 1 && number < 3 { vec![stream(number)] } else { Vec::new() };
            assert!(got == wanted || (number == 1 && got.is_empty()), "{number}: {got:?}");
        }
        assert_eq!(looks, 1);
    }
}
