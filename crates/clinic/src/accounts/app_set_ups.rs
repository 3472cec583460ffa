//! Authenticator apps that are being set up: keys that no code has confirmed yet, in memory only. Owns its lock.

use parking_lot::Mutex;
use std::collections::HashMap;
use vault::TotpKey;

/// How long a key waits for the code that confirms it.
pub const APP_SET_UP_MS: u64 = 15 * 60_000;
/// Most keys that wait at a time; the one that ends next makes room.
const SET_UPS_MAX: usize = 256;

/// A key to be put into an authenticator app: 20 bytes, to be shown to its owner alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSetUp {
    /// The key.
    pub key: TotpKey,
    /// End (exclusive), milliseconds.
    pub until_ms: u64,
}

/// Keys that wait for their first code, by session.
#[derive(Default)]
pub(crate) struct AppSetUps(Mutex<HashMap<[u8; 16], AppSetUp>>);

impl AppSetUps {
    /// The key that this session sets up: the one it began with, or this new one.
    pub(super) fn begin(&self, session: [u8; 16], new: TotpKey, now_ms: u64) -> AppSetUp {
        let mut held = self.0.lock();
        if let Some(begun) = held.get(&session).filter(|one| now_ms < one.until_ms) {
            return begun.clone();
        }
        if held.len() >= SET_UPS_MAX {
            let next = held.iter().min_by_key(|(_, one)| one.until_ms).map(|(key, _)| *key);
            next.map(|key| held.remove(&key));
        }
        let set_up = AppSetUp { key: new, until_ms: now_ms + APP_SET_UP_MS };
        held.insert(session, set_up.clone());
        set_up
    }

    pub(super) fn begun(&self, session: [u8; 16], now_ms: u64) -> Option<AppSetUp> {
        self.0.lock().get(&session).filter(|one| now_ms < one.until_ms).cloned()
    }

    pub(super) fn end(&self, session: [u8; 16]) {
        self.0.lock().remove(&session);
    }

    /// Forgets those that ended.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.0.lock().retain(|_, one| now_ms < one.until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn key(n: u8) -> TotpKey {
        TotpKey::new([n; 20])
    }

    #[test]
    fn a_session_sets_one_key_up_for_a_quarter_of_an_hour() {
        let set_ups = AppSetUps::default();
        assert!(set_ups.begun([1; 16], NOW).is_none());
        let begun = set_ups.begin([1; 16], key(1), NOW);
        assert_eq!(set_ups.begin([1; 16], key(2), NOW + 1), begun, "the same when asked again");
        assert_eq!(set_ups.begun([1; 16], NOW + APP_SET_UP_MS - 1), Some(begun));
        assert_eq!(set_ups.begun([2; 16], NOW), None, "another session's");
        assert_eq!(set_ups.begun([1; 16], NOW + APP_SET_UP_MS), None);
        assert_eq!(set_ups.begin([1; 16], key(3), NOW + APP_SET_UP_MS).key, key(3));
        set_ups.end([1; 16]);
        assert!(set_ups.begun([1; 16], NOW + APP_SET_UP_MS).is_none());
    }

    #[test]
    fn memory_for_keys_that_wait_is_bounded() {
        let set_ups = AppSetUps::default();
        for at in 0..(SET_UPS_MAX as u64 + 10) {
            let mut session = [0; 16];
            session[..8].copy_from_slice(&at.to_be_bytes());
            set_ups.begin(session, key(1), NOW + at);
        }
        assert_eq!(set_ups.0.lock().len(), SET_UPS_MAX);
        set_ups.sweep(NOW + APP_SET_UP_MS + SET_UPS_MAX as u64 + 10);
        assert!(set_ups.0.lock().is_empty());
    }
}
