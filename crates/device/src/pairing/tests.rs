use super::*;
use core::convert::Infallible;
use hpke::OpModeS;
use hpke::rand_core::{TryCryptoRng, TryRng};
use vitals::StreamId;
use vitals::ids::Class;

const GENESIS: Genesis = Genesis([1; 32]);

/// Counts; good enough to make an ephemeral key for a test.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_bytes(self).map(u32::from_le_bytes)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_bytes(self).map(u64::from_le_bytes)
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn rand_bytes<const N: usize>(rng: &mut Counting) -> Result<[u8; N], Infallible> {
    let mut out = [0; N];
    rng.try_fill_bytes(&mut out)?;
    Ok(out)
}

fn identity(seed: u8) -> Identity {
    Identity::from_seeds(&[seed; 32], &[seed + 100; 32])
}

/// As the home organisation wraps it.
fn wrapped(recipient: &Identity, chain: &ChainKey) -> StreamKey {
    wrapped_for(recipient, chain, GENESIS, StreamId([4; 16]), 20_000)
}

fn wrapped_for(
    recipient: &Identity,
    chain: &ChainKey,
    genesis: Genesis,
    stream: StreamId,
    epoch: u32,
) -> StreamKey {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&recipient.keys().wrap_key).unwrap();
    let (encapsulated, wrapped) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &wrap_info(genesis, stream, recipient.id(), epoch),
        chain.expose(),
        &[],
        &mut Counting(7),
    )
    .unwrap();
    StreamKey {
        author: recipient.id(),
        stream,
        class: Class::Vitals,
        epoch,
        commitment: chain.commitment(),
        encapsulated: hpke::Serializable::to_bytes(&encapsulated).into(),
        wrapped: wrapped.try_into().unwrap(),
    }
}

#[test]
fn the_request_is_signed_by_every_key_in_it() {
    let sensors = [identity(2), identity(3), identity(4)];
    let request = request(&identity(1), &sensors).unwrap();
    let read = PairingRequest::decode(&request.encode()).unwrap();
    assert_eq!(read, request);
    assert_eq!(read.sensors, sensors.map(|sensor| sensor.keys()));
}

#[test]
fn a_gateway_has_only_so_many_boards() {
    let sensors: Vec<Identity> = (0..=BOARDS_MAX).map(|_| identity(2)).collect();
    assert!(request(&identity(1), &sensors).is_none());
    assert!(request(&identity(1), &sensors[1..]).is_some());
}

#[test]
fn the_chain_key_reaches_its_device_only() {
    let chain = ChainKey::new([8; 32]);
    let key = wrapped(&identity(2), &chain);
    assert_eq!(identity(2).unwrap_chain(&key, GENESIS).unwrap().expose(), chain.expose());
    assert_eq!(identity(3).unwrap_chain(&key, GENESIS).unwrap_err(), UnwrapError::Author);
    let stolen = StreamKey { author: identity(3).id(), ..key };
    assert_eq!(identity(3).unwrap_chain(&stolen, GENESIS).unwrap_err(), UnwrapError::Wrap);
}

#[test]
fn a_wrap_is_bound_to_ledger_stream_and_epoch() {
    let device = identity(2);
    let key = wrapped(&device, &ChainKey::new([8; 32]));
    let fails = |key: &StreamKey, genesis| device.unwrap_chain(key, genesis).unwrap_err();
    assert_eq!(fails(&key, Genesis([9; 32])), UnwrapError::Wrap);
    assert_eq!(fails(&StreamKey { stream: StreamId([5; 16]), ..key.clone() }, GENESIS), UnwrapError::Wrap);
    assert_eq!(fails(&StreamKey { epoch: 20_001, ..key.clone() }, GENESIS), UnwrapError::Wrap);
    assert_eq!(fails(&StreamKey { commitment: [0; 32], ..key }, GENESIS), UnwrapError::Commitment);
}

/// Bytes on the wire are promises: `ACESO_GOLDEN=write` makes the file anew, `docs/wire.md` says what is in it.
#[test]
fn the_wrap_of_a_chain_key_is_golden() {
    let device = Identity::from_seeds(&[0x55; 32], &[0x66; 32]);
    let (chain, genesis) = (ChainKey::new([0x11; 32]), Genesis([0x22; 32]));
    let key = wrapped_for(&device, &chain, genesis, StreamId([0x33; 16]), 20_779);
    let digits =
        |bytes: &[u8]| bytes.iter().map(|byte| std::format!("{byte:02x}")).collect::<std::string::String>();
    let text = std::format!("{}\n{}\n", digits(&key.encapsulated), digits(&key.wrapped));
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden/chain_key_wrap_v1.hex");
    if std::env::var_os("ACESO_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert_eq!(device.unwrap_chain(&key, genesis).unwrap().expose(), chain.expose());
}
