//! Where MQTT packets begin and end in a stream of bytes, without looking inside.

/// Follows a stream.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// Bytes of the fixed header seen.
    head: u8,
    length: u32,
    /// Bytes of the packet to come, once its length is known.
    left: Option<usize>,
    packets: u64,
}

impl Framing {
    /// Packets that have ended.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Is a packet begun and not ended?
    pub(crate) fn is_within(&self) -> bool {
        self.head > 0
    }

    /// Takes the next bytes. After a length that is none, positions mean nothing: the session ends then.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if let Some(left) = self.left {
                let taken = left.min(bytes.len());
                bytes = &bytes[taken..];
                self.left = Some(left - taken);
            } else {
                bytes = rest;
                if self.head > 0 {
                    let shift = u32::from(self.head - 1) * 7;
                    self.length |= u32::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
                    if first & 0x80 == 0 {
                        self.left = usize::try_from(self.length).ok();
                    }
                }
                self.head = self.head.saturating_add(1);
            }
            if self.left == Some(0) {
                *self = Self { packets: self.packets + 1, ..Self::default() };
            }
        }
    }
}

/// May a packet begin with this byte? Only PUBLISH uses its low four bits; the others have them fixed.
pub(crate) fn may_begin(first: u8) -> bool {
    match (first >> 4, first & 0x0f) {
        (0, _) => false,
        (3, flags) => flags & 6 != 6,
        (6 | 8 | 10, flags) => flags == 2,
        (_, flags) => flags == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_however_they_are_cut() {
        // PINGREQ, a packet of 200 bytes, PINGREQ, and half a packet.
        let mut bytes = vec![0xc0, 0, 0x32, 0xc8, 1];
        bytes.extend([7; 200]);
        bytes.extend([0xc0, 0, 0x32, 4, 1]);
        for step in [1, 2, 3, 7, 100, 1000] {
            let mut framing = Framing::default();
            bytes.chunks(step).for_each(|chunk| framing.pass(chunk));
            assert_eq!((framing.packets(), framing.is_within()), (3, true), "{step}");
            framing.pass(&[1, 2, 3]);
            assert_eq!((framing.packets(), framing.is_within()), (4, false), "{step}");
        }
    }

    #[test]
    fn a_length_that_never_ends_is_within_for_ever() {
        let mut framing = Framing::default();
        framing.pass(&[0xff; 1000]);
        assert_eq!((framing.packets(), framing.is_within()), (0, true));
    }
}
