use super::*;
use alloc::vec;
use proptest::prelude::*;

fn slow() -> impl Strategy<Value = Slow> {
    (any::<u32>(), any::<u32>(), any::<[Option<i32>; Slow::VALUES]>())
        .prop_map(|(counter, board_ms, values)| Slow::of(counter, board_ms, values))
}

fn up() -> impl Strategy<Value = Up> {
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(rate_mhz, board)| Up::Hello { rate_mhz, board }),
        (any::<u32>(), any::<u32>(), prop::collection::vec(any::<u16>(), 0..=SAMPLES_MAX))
            .prop_map(|(counter, board_ms, samples)| Up::Ppg { counter, board_ms, samples }),
        slow().prop_map(Up::Slow),
        (any::<u32>(), any::<u32>()).prop_map(|(counter, board_ms)| Up::Button { counter, board_ms }),
    ]
}

fn down() -> impl Strategy<Value = Down> {
    prop_oneof![
        any::<[[u8; 16]; 2]>()
            .prop_map(|lines| Down::Lcd { lines: lines.map(|line| line.map(|c| b' ' + c % 95)) }),
        (0u8..5).prop_map(|code| Down::Buzzer(code.checked_sub(1).and_then(Priority::from_code))),
        any::<u64>().prop_map(|now_ms| Down::TimeSync { now_ms }),
    ]
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(frame in up()) {
        let mut decoder = Decoder::<Up>::new();
        prop_assert_eq!(decoder.feed_all(&frame.encode()), vec![frame]);
        prop_assert_eq!(decoder.bad_frames(), 0);
    }

    #[test]
    fn every_answer_comes_back_as_it_was(frame in down()) {
        prop_assert_eq!(Decoder::<Down>::new().feed_all(&frame.encode()), vec![frame]);
    }

    #[test]
    fn after_garbage_the_next_frame_is_read(garbage in prop::collection::vec(any::<u8>(), 0..400), frame in up()) {
        let mut decoder = Decoder::<Up>::new();
        decoder.feed_all(&garbage);
        decoder.feed(0);
        prop_assert_eq!(decoder.feed_all(&frame.encode()), vec![frame]);
    }

    #[test]
    fn a_flipped_bit_is_never_another_frame(frame in up(), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let mut line = frame.encode();
        let at = at.index(line.len());
        line[at] ^= 1 << bit;
        line.push(0);
        prop_assert!(Decoder::<Up>::new().feed_all(&line).is_empty());
    }

    #[test]
    fn the_decoder_holds_at_most_one_frame(noise in prop::collection::vec(1u8.., 0..2000)) {
        let mut decoder = Decoder::<Down>::new();
        decoder.feed_all(&noise);
        prop_assert!(decoder.held.len() <= STUFFED_BYTES_MAX);
    }
}

#[test]
fn the_checksum_is_the_published_one() {
    assert_eq!(crc16(b"123456789"), 0x29b1);
}

#[test]
fn the_longest_frames_fit() {
    let ppg = Up::Ppg { counter: u32::MAX, board_ms: u32::MAX, samples: vec![0; SAMPLES_MAX] };
    let slow = Up::Slow(Slow::of(u32::MAX, u32::MAX, [Some(i32::MIN); Slow::VALUES]));
    for frame in [ppg, slow] {
        assert!(frame.encode().len() <= STUFFED_BYTES_MAX + 1);
        assert_eq!(Decoder::<Up>::new().feed_all(&frame.encode()), vec![frame]);
    }
}

#[test]
fn another_version_is_named() {
    let mut plain = vec![2, HELLO, 0, 0, 0, 0, 0, 0, 0, 0];
    plain.extend(crc16(&plain).to_be_bytes());
    let mut stuffed = [0; STUFFED_BYTES_MAX];
    let len = cobs::encode(&plain, &mut stuffed);
    assert_eq!(Up::decode(&stuffed[..len]), Err(BadFrame::Version(2)));
}

#[test]
fn a_frame_of_the_other_direction_is_refused() {
    let line = Down::Buzzer(Some(Priority::High)).encode();
    assert_eq!(Up::decode(&line[..line.len() - 1]), Err(BadFrame::Content));
}

#[test]
fn the_wire_form_is_a_promise() {
    let hello = Up::Hello { rate_mhz: 100_000, board: 7 };
    // 0xde7c is the checksum as binascii.crc_hqx of Python computes it.
    let golden = [3, 1, 1, 4, 1, 0x86, 0xa0, 1, 1, 4, 7, 0xde, 0x7c, 0];
    assert_eq!(hello.encode(), golden);
}
