use super::*;
use alloc::{string::String, vec};
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    write(&mut w);
    w.finish()
}

#[test]
fn values_are_written_as_rfc_8949_shows() {
    for (value, bytes) in [
        (0, vec![0x00]),
        (23, vec![0x17]),
        (24, vec![0x18, 0x18]),
        (1000, vec![0x19, 0x03, 0xe8]),
        (1_000_000, vec![0x1a, 0x00, 0x0f, 0x42, 0x40]),
        (1_000_000_000_000, vec![0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]),
    ] {
        assert_eq!(written(|w| _ = w.uint(value)), bytes);
    }
    assert_eq!(written(|w| _ = w.int(-1)), [0x20]);
    assert_eq!(written(|w| _ = w.int(-1000)), [0x39, 0x03, 0xe7]);
    assert_eq!(written(|w| _ = w.text("ü")), [0x62, 0xc3, 0xbc]);
    assert_eq!(written(|w| _ = w.bytes(&[1, 2, 3, 4])), [0x44, 1, 2, 3, 4]);
}

#[test]
fn only_the_shortest_form_is_read() {
    for bytes in [
        &[0x18, 0x17][..],
        &[0x19, 0x00, 0xff],
        &[0x1a, 0x00, 0x00, 0xff, 0xff],
        &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x1f],
        &[0x1c],
    ] {
        assert_eq!(Reader::new(bytes).uint(), Err(NotCanonical::NotShortest), "{bytes:02x?}");
    }
    assert_eq!(Reader::new(&[0x5f, 0x41, 0, 0xff]).bytes(9), Err(NotCanonical::NotShortest));
    assert_eq!(Reader::new(&[0x58, 0x01, 0]).bytes(9), Err(NotCanonical::NotShortest));
    assert_eq!(Reader::new(&[0x61, 0xff]).text(9), Err(NotCanonical::NotText));
    assert_eq!(Reader::new(&[0x40]).uint(), Err(NotCanonical::Unexpected));
}

#[test]
fn a_length_from_the_wire_allocates_nothing() {
    let huge = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(Reader::new(&huge).list(10, |r| r.uint()), Err(NotCanonical::TooLong));
    assert_eq!(Reader::new(&huge).list(usize::MAX, |r| r.uint()), Err(NotCanonical::Truncated));
    let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(Reader::new(&huge).bytes(10), Err(NotCanonical::TooLong));
    assert_eq!(Reader::new(&huge).bytes(usize::MAX), Err(NotCanonical::Truncated));
}

proptest! {
    #[test]
    fn integers_and_strings_read_back(
        uint in any::<u64>(),
        int in any::<i64>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        text in ".{0,80}",
    ) {
        let wire = written(|w| _ = w.uint(uint).int(int).bytes(&bytes).text(&text));
        let mut r = Reader::new(&wire);
        prop_assert_eq!(r.uint(), Ok(uint));
        prop_assert_eq!(r.int(), Ok(int));
        prop_assert_eq!(r.bytes(300), Ok(bytes.as_slice()));
        prop_assert_eq!(r.text(400).map(String::from), Ok(text));
        prop_assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        let taken = |r: &Reader<'_>| bytes[..bytes.len() - r.rest().len()].to_vec();
        let mut r = Reader::new(&bytes);
        if let Ok(value) = r.uint() {
            prop_assert_eq!(written(|w| _ = w.uint(value)), taken(&r));
        }
        let mut r = Reader::new(&bytes);
        if let Ok(value) = r.int() {
            prop_assert_eq!(written(|w| _ = w.int(value)), taken(&r));
        }
        let mut r = Reader::new(&bytes);
        if let Ok(value) = r.bytes(12) {
            prop_assert_eq!(written(|w| _ = w.bytes(value)), taken(&r));
        }
        let mut r = Reader::new(&bytes);
        if let Ok(value) = r.text(12) {
            prop_assert_eq!(written(|w| _ = w.text(value)), taken(&r));
        }
    }
}
