use super::*;
use aes_gcm::aead::Aead;
use alloc::vec;
use proptest::prelude::*;
use std::collections::HashSet;
use vitals::Metric;
use vitals::keys::EPOCH_MS;
use vitals::metric::{Absence, Reading, Sample};

const GENESIS: Genesis = Genesis([1; 32]);
const STREAM: StreamId = StreamId([2; 16]);
const NOON_MS: u64 = 1_790_000_000_000;

fn first_chain() -> ChainKey {
    ChainKey::new([5; 32])
}

fn start(at_ms: u64) -> SealerState {
    SealerState { chain: first_chain(), epoch: epoch_of(at_ms), next_seq: 0, prev: [0; 32] }
}

fn sealer(run: u8, state: SealerState) -> Sealer {
    Sealer::new(GENESIS, SigningKey::from([3; 32]), STREAM, Class::Vitals, [run; 16], state)
}

fn pulse(at_ms: u64) -> Body {
    Body::Readings(vec![
        Reading { metric: Metric::HeartRate, at_ms, sample: Sample::Measured(724) },
        Reading { metric: Metric::BodyTemperature, at_ms, sample: Sample::Absent(Absence::SensorOff) },
    ])
}

/// Opens as a vault does: from the first chain key and the header alone.
fn open(bytes: &[u8], first_epoch: u32) -> Body {
    let envelope = Envelope::decode(bytes).unwrap();
    let header = &envelope.header;
    let key: [u8; 32] = VerificationKeyBytes::from(&SigningKey::from([3; 32])).into();
    assert!(envelope.verify(&key));
    assert_eq!(header.author, DeviceId::of(&key));
    let chain = first_chain().forward(header.epoch - first_epoch).unwrap();
    let (key, commitment) = chain.content().message(GENESIS, STREAM, header.epoch, &header.run);
    assert_eq!(commitment, header.key_commitment);
    let plaintext = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()))
        .decrypt(
            &Nonce::from(header.nonce()),
            Payload { msg: &envelope.ciphertext, aad: &header.associated_data() },
        )
        .unwrap();
    let body = Body::decode(&plaintext, header.first_ms).unwrap();
    assert_eq!(body.span_ms(), Some((header.first_ms, header.last_ms)));
    assert_eq!(body.count(), header.count);
    body
}

#[test]
fn what_is_sealed_opens_with_the_chain_key_and_nothing_else() {
    let mut sealer = sealer(9, start(NOON_MS));
    let sealed = sealer.seal(&pulse(NOON_MS), ClockQuality::Synced).unwrap();
    assert_eq!(open(&sealed.bytes, epoch_of(NOON_MS)), pulse(NOON_MS));
    assert_eq!(Envelope::decode(&sealed.bytes).unwrap().header, sealed.header);
    assert_eq!(Envelope::decode(&sealed.bytes).unwrap().hash(), sealed.hash);
}

#[test]
fn envelopes_are_linked_and_numbered() {
    let mut sealer = sealer(9, start(NOON_MS));
    let mut prev = [0; 32];
    for seq in 0..5 {
        let sealed = sealer.seal(&pulse(NOON_MS + seq * 1_000), ClockQuality::Synced).unwrap();
        assert_eq!((sealed.header.seq, sealed.header.prev), (seq, prev));
        prev = sealed.hash;
    }
    assert_eq!((sealer.state().next_seq, sealer.state().prev), (5, prev));
}

#[test]
fn the_day_steps_the_chain_and_a_clock_gone_back_does_not() {
    let first = epoch_of(NOON_MS);
    let mut sealer = sealer(9, start(NOON_MS));
    let mut epoch_at = |at_ms: u64| {
        let sealed = sealer.seal(&pulse(at_ms), ClockQuality::Holding).unwrap();
        assert_eq!(open(&sealed.bytes, first), pulse(at_ms));
        sealed.header.epoch
    };
    assert_eq!(epoch_at(NOON_MS), first);
    assert_eq!(epoch_at(NOON_MS + 3 * EPOCH_MS), first + 3);
    assert_eq!(epoch_at(NOON_MS), first + 3);
    assert_eq!(epoch_at(0), first + 3);
    // A leap of a century is a broken clock: it must not carry the chain away.
    assert_eq!(epoch_at(NOON_MS + 40_000 * EPOCH_MS), first + 3);
    assert_eq!(epoch_at(NOON_MS + 4 * EPOCH_MS), first + 4);
}

#[test]
fn what_is_behind_is_forgotten() {
    let mut sealer = sealer(9, start(NOON_MS));
    sealer.seal(&pulse(NOON_MS + EPOCH_MS), ClockQuality::Synced).unwrap();
    let SealerState { chain, epoch, .. } = sealer.state();
    assert_eq!(*epoch, epoch_of(NOON_MS) + 1);
    assert_eq!(chain.expose(), first_chain().next().expose());
}

#[test]
fn a_refused_body_uses_up_nothing() {
    let mut sealer = sealer(9, start(NOON_MS));
    let room = Reading { metric: Metric::Co2, at_ms: NOON_MS, sample: Sample::Measured(600) };
    let many = vec![Reading { metric: Metric::HeartRate, ..room }; COUNT_MAX as usize + 1];
    for (body, why) in [
        (Body::Readings(vec![]), SealError::Empty),
        (Body::Readings(vec![room]), SealError::Class),
        (Body::Readings(many), SealError::TooMany),
        (pulse(TIME_MAX_MS + 1), SealError::Time),
    ] {
        assert_eq!(sealer.seal(&body, ClockQuality::Synced), Err(why));
    }
    assert_eq!(sealer.state().next_seq, 0);
    assert_eq!(sealer.seal(&pulse(NOON_MS), ClockQuality::Synced).unwrap().header.seq, 0);
}

#[test]
fn the_last_sequence_number_is_never_passed() {
    let mut sealer = sealer(9, SealerState { next_seq: u64::MAX, prev: [1; 32], ..start(NOON_MS) });
    assert_eq!(sealer.seal(&pulse(NOON_MS), ClockQuality::Synced), Err(SealError::Exhausted));
}

#[test]
fn nothing_secret_is_printed() {
    let printed = std::format!("{:?}", sealer(9, start(NOON_MS)));
    assert!(
        !printed.contains("05, 05") && !printed.contains("[5, 5") && !printed.contains("[3, 3"),
        "{printed}"
    );
}

/// What can happen to a device.
#[derive(Debug, Clone)]
enum Fate {
    Seal {
        at_ms: u64,
    },
    /// The journal kept what was sealed.
    Restart,
    /// The last `lost` envelopes were not durable yet, or an old disk was put back.
    Restore {
        lost: usize,
    },
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => (0u64..NOON_MS * 2).prop_map(|at_ms| Fate::Seal { at_ms }),
        6 => (0u64..4 * EPOCH_MS).prop_map(|after_ms| Fate::Seal { at_ms: NOON_MS + after_ms }),
        1 => Just(Fate::Restart),
        1 => (0usize..6).prop_map(|lost| Fate::Restore { lost }),
    ]
}

proptest! {
    #[test]
    fn no_key_and_nonce_ever_come_back(fates in prop::collection::vec(fate(), 1..40)) {
        let mut run = 0;
        let mut kept = vec![start(NOON_MS)];
        let mut device = sealer(run, start(NOON_MS));
        let mut used = HashSet::new();
        for fate in fates {
            match fate {
                Fate::Seal { at_ms } => {
                    let sealed = device.seal(&pulse(at_ms), ClockQuality::Unset).unwrap();
                    // The commitment stands for the key: both come from one HKDF call.
                    let pair = (sealed.header.key_commitment, sealed.header.nonce());
                    prop_assert!(used.insert(pair), "key and nonce of seq {} came back", sealed.header.seq);
                    kept.push(device.state().clone());
                }
                Fate::Restart | Fate::Restore { .. } => {
                    let lost = if let Fate::Restore { lost } = fate { lost } else { 0 };
                    kept.truncate(kept.len().saturating_sub(lost).max(1));
                    run += 1;
                    device = sealer(run, kept.last().unwrap().clone());
                }
            }
        }
    }
}
