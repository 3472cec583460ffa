//! Deterministic CBOR (RFC 8949, section 4.2.1), only what our wire needs: unsigned and negative
//! integers, byte and text strings, definite arrays. The reader accepts one encoding per value, so
//! bytes that decode encode back to themselves.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use alloc::vec::Vec;
use core::fmt;

/// Why bytes are not what the wire allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCanonical {
    /// The input ends inside a value.
    Truncated,
    /// Bytes follow the value.
    Trailing,
    /// Longer than its bound.
    TooLong,
    /// Another type or value than the format has here.
    Unexpected,
    /// A length or integer is not in its shortest form, or a length is indefinite.
    NotShortest,
    /// Text is not UTF-8.
    NotText,
    /// Items are not in their order, or repeat.
    Order,
    /// A key did not sign what it should have signed, or is too weak for its signature to count.
    Signature,
}

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end inside a value",
            Self::Trailing => "bytes follow the value",
            Self::TooLong => "a value is longer than its bound",
            Self::Unexpected => "a value is not of the type or value the format says",
            Self::NotShortest => "an integer or length is not in its shortest form",
            Self::NotText => "text is not UTF-8",
            Self::Order => "items are out of order or repeat",
            Self::Signature => "a key it names did not sign it, or is weak",
        })
    }
}

impl core::error::Error for NotCanonical {}

/// Refuses input longer than its bound, before anything is read or allocated.
pub fn bounded(bytes: &[u8], max: usize) -> Result<(), NotCanonical> {
    if bytes.len() > max { Err(NotCanonical::TooLong) } else { Ok(()) }
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty output.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty output with room for `bytes`, so that it does not move while it grows.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let be = value.to_be_bytes();
        let (info, tail): (u8, &[u8]) = match value {
            0..=23 => (be[7], &[]),
            24..=0xff => (24, &be[7..]),
            0x100..=0xffff => (25, &be[6..]),
            0x1_0000..=0xffff_ffff => (26, &be[4..]),
            _ => (27, &be),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(tail);
        self
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(0, value)
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 { self.head(1, !value as u64) } else { self.head(0, value as u64) }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64).0.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64).0.extend_from_slice(value.as_bytes());
        self
    }

    /// The head of an array of `len` items.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.head(4, len as u64)
    }

    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.head(5, len as u64)
    }

    /// A tag before the next item.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(6, tag)
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads values one after the other; never allocates by a length it has read.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn split(&mut self, len: usize) -> Result<&'a [u8], NotCanonical> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(NotCanonical::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn head(&mut self, major: u8) -> Result<u64, NotCanonical> {
        let first = *self.rest.first().ok_or(NotCanonical::Truncated)?;
        if first >> 5 != major {
            return Err(NotCanonical::Unexpected);
        }
        self.rest = &self.rest[1..];
        let (width, least) = match first & 31 {
            info @ 0..=23 => return Ok(u64::from(info)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(NotCanonical::NotShortest),
        };
        let value = self.split(width)?.iter().fold(0, |acc, byte| acc << 8 | u64::from(*byte));
        if value < least { Err(NotCanonical::NotShortest) } else { Ok(value) }
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, NotCanonical> {
        self.head(0)
    }

    /// An unsigned integer no larger than `max`.
    pub fn uint_max(&mut self, max: u64) -> Result<u64, NotCanonical> {
        let value = self.uint()?;
        if value > max { Err(NotCanonical::TooLong) } else { Ok(value) }
    }

    /// An unsigned integer that fits 32 bits.
    pub fn u32(&mut self) -> Result<u32, NotCanonical> {
        u32::try_from(self.uint()?).map_err(|_| NotCanonical::TooLong)
    }

    /// An unsigned integer that fits 8 bits.
    pub fn u8(&mut self) -> Result<u8, NotCanonical> {
        u8::try_from(self.uint()?).map_err(|_| NotCanonical::TooLong)
    }

    /// A signed integer.
    pub fn int(&mut self) -> Result<i64, NotCanonical> {
        let negative = self.rest.first().is_some_and(|first| first >> 5 == 1);
        let value = i64::try_from(self.head(u8::from(negative))?).map_err(|_| NotCanonical::TooLong)?;
        Ok(if negative { !value } else { value })
    }

    /// The value `wanted` and no other.
    pub fn exactly(&mut self, wanted: u64) -> Result<(), NotCanonical> {
        if self.uint()? == wanted { Ok(()) } else { Err(NotCanonical::Unexpected) }
    }

    /// A byte string of at most `max` bytes.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], NotCanonical> {
        let len = self.head(2)?;
        self.string(len, max)
    }

    /// A byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], NotCanonical> {
        self.bytes(N)?.try_into().map_err(|_| NotCanonical::Unexpected)
    }

    /// A text string of at most `max` bytes.
    pub fn text(&mut self, max: usize) -> Result<&'a str, NotCanonical> {
        let len = self.head(3)?;
        core::str::from_utf8(self.string(len, max)?).map_err(|_| NotCanonical::NotText)
    }

    fn string(&mut self, len: u64, max: usize) -> Result<&'a [u8], NotCanonical> {
        match usize::try_from(len) {
            Ok(len) if len <= max => self.split(len),
            _ => Err(NotCanonical::TooLong),
        }
    }

    /// The head of an array of exactly `len` items.
    pub fn array(&mut self, len: usize) -> Result<(), NotCanonical> {
        if self.head(4)? == len as u64 { Ok(()) } else { Err(NotCanonical::Unexpected) }
    }

    /// The head of a map of exactly `len` pairs.
    pub fn map(&mut self, len: usize) -> Result<(), NotCanonical> {
        if self.head(5)? == len as u64 { Ok(()) } else { Err(NotCanonical::Unexpected) }
    }

    /// The tag `tag`.
    pub fn tag(&mut self, tag: u64) -> Result<(), NotCanonical> {
        if self.head(6)? == tag { Ok(()) } else { Err(NotCanonical::Unexpected) }
    }

    /// An array of at most `max` items, each read by `item`.
    pub fn list<T>(
        &mut self,
        max: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, NotCanonical>,
    ) -> Result<Vec<T>, NotCanonical> {
        let len = self.head(4)?;
        if len > max as u64 {
            return Err(NotCanonical::TooLong);
        }
        // Every item takes at least one byte, so this cannot reserve more than the input is long.
        if len > self.rest.len() as u64 {
            return Err(NotCanonical::Truncated);
        }
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), NotCanonical> {
        if self.rest.is_empty() { Ok(()) } else { Err(NotCanonical::Trailing) }
    }
}

impl Reader<'_> {
    /// The head of an array of any length; the caller checks it.
    pub fn any_array(&mut self) -> Result<u64, NotCanonical> {
        self.head(4)
    }
}
