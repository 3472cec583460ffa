//! Words of the contracts' storage, as Solidity packs them (docs/wire.md).

use vitals::ledger::{Device, DeviceKind};
use vitals::proof::contracts::Word;

/// Puts `bytes` into a word, `offset` bytes from its low end.
pub(crate) fn pack(word: &mut Word, offset: usize, bytes: &[u8]) {
    let end = 32 - offset;
    word[end - bytes.len()..end].copy_from_slice(bytes);
}

/// A device, in the order of `contracts::device_slots`.
pub(crate) fn device(device: &Device) -> [Word; 5] {
    let (mut places, mut rest) = ([0; 32], [0; 32]);
    pack(&mut places, 0, &device.via.0);
    pack(&mut places, 16, &device.org.0);
    pack(&mut rest, 0, &device.since_ms.to_be_bytes());
    pack(&mut rest, 8, &[if device.kind == DeviceKind::Sensor { 1 } else { 2 }]);
    if let Some(revocation) = device.revoked {
        pack(&mut rest, 9, &revocation.at_ms.to_be_bytes());
        pack(&mut rest, 17, &[revocation.reason as u8 + 1]);
        pack(&mut rest, 18, &revocation.last_trusted_seq.to_be_bytes());
    }
    [device.key, device.wrap_key, device.binding, places, rest]
}
