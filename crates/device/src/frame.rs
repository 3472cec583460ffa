//! The serial link between a board and its gateway.
//!
//! A frame is `[version, kind, fields…, CRC-16]`, big-endian, stuffed with COBS and ended by a zero
//! byte, so that a reader that starts in the middle, or reads noise, is in step again after the next
//! zero. Boards are small: every frame fits 96 bytes.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use vitals::alarm::Priority;

/// Version of this format; the first byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// Most PPG samples in one frame.
pub const SAMPLES_MAX: usize = 32;
/// Longest frame before stuffing, bytes.
pub const FRAME_BYTES_MAX: usize = 96;
/// Longest stuffed frame without its end mark, bytes.
pub const STUFFED_BYTES_MAX: usize = cobs::max_encoding_length(FRAME_BYTES_MAX);
/// Characters in a line of the LCD.
pub const LCD_COLUMNS: usize = 16;
/// Lines of the LCD.
pub const LCD_ROWS: usize = 2;
/// What the LCD shows: printable ASCII.
pub type LcdText = [[u8; LCD_COLUMNS]; LCD_ROWS];

const HELLO: u8 = 0x01;
const PPG: u8 = 0x02;
const SLOW: u8 = 0x03;
const BUTTON: u8 = 0x04;
const LCD: u8 = 0x81;
const BUZZER: u8 = 0x82;
const TIME: u8 = 0x83;

/// The slow sensors of a board, raw fixed-point units of their metrics; none when a sensor gives
/// nothing or is not fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slow {
    /// Counts the frames of a board since it started; a jump is a loss.
    pub counter: u32,
    /// The board's own clock, milliseconds since it started.
    pub board_ms: u32,
    /// Hundredths of a degree Celsius.
    pub body_temperature: Option<i32>,
    /// Tenths of a degree Celsius.
    pub ambient_temperature: Option<i32>,
    /// Tenths of a percent.
    pub relative_humidity: Option<i32>,
    /// Tenths of a microgram per cubic metre.
    pub pm2_5: Option<i32>,
    /// Tenths of a microgram per cubic metre.
    pub pm10: Option<i32>,
    /// Parts per million.
    pub co2: Option<i32>,
    /// Parts per billion.
    pub tvoc: Option<i32>,
}

/// From the board to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// Sent at power-up and every few seconds, so that a gateway that starts later knows the rate.
    Hello {
        /// PPG samples per 1000 seconds.
        rate_mhz: u32,
        /// Number of the board, for people.
        board: u32,
    },
    /// Raw light samples, at most [`SAMPLES_MAX`].
    Ppg {
        /// Counts the frames of a board since it started; a jump is a loss.
        counter: u32,
        /// The board's clock at the first sample, milliseconds since it started.
        board_ms: u32,
        /// Raw converter values, of any range and either polarity.
        samples: Vec<u16>,
    },
    /// The slow sensors, once a second.
    Slow(Slow),
    /// The button at the bedside was pressed.
    Button {
        /// Counts the frames of a board since it started; a jump is a loss.
        counter: u32,
        /// The board's clock, milliseconds since it started.
        board_ms: u32,
    },
}

/// From the gateway to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Show this text.
    Lcd {
        /// Two lines of printable ASCII.
        lines: LcdText,
    },
    /// Sound the pattern of this priority, or be quiet.
    Buzzer(Option<Priority>),
    /// What time it is.
    TimeSync {
        /// Milliseconds since 1970.
        now_ms: u64,
    },
}

/// Why bytes between two end marks are not a frame. The line is noisy, or the other side is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// Longer than [`STUFFED_BYTES_MAX`].
    TooLong,
    /// Not COBS.
    Stuffing,
    /// The checksum does not fit.
    Checksum,
    /// Another version than [`FRAME_VERSION`].
    Version(u8),
    /// Right checksum, but not a frame of this direction and version.
    Content,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the frame is longer than {STUFFED_BYTES_MAX} bytes"),
            Self::Stuffing => f.write_str("the frame is not stuffed with COBS"),
            Self::Checksum => f.write_str("the frame's checksum does not fit: the line is noisy"),
            Self::Version(version) => {
                write!(f, "the frame has version {version}; this side speaks {FRAME_VERSION}")
            }
            Self::Content => f.write_str("the frame holds a kind or field this version does not know"),
        }
    }
}

impl core::error::Error for BadFrame {}

/// CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF), small enough for an ATmega.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

mod sealed {
    pub trait Message: Sized {
        fn write(&self, out: &mut Vec<u8>);
        fn read(kind: u8, fields: &mut super::Fields<'_>) -> Option<Self>;
    }
    use alloc::vec::Vec;
}

/// [`Up`] or [`Down`]. Sealed: the two directions are all there is.
pub trait Message: sealed::Message {
    /// The frame as it is sent, with its end mark. Samples beyond [`SAMPLES_MAX`] do not
    /// fit a frame and are left out.
    fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(FRAME_BYTES_MAX);
        plain.push(FRAME_VERSION);
        self.write(&mut plain);
        let crc = crc16(&plain);
        plain.extend(crc.to_be_bytes());
        let mut line = alloc::vec![0; cobs::max_encoding_length(plain.len()) + 1];
        let stuffed = cobs::encode(&plain, &mut line);
        line.truncate(stuffed);
        line.push(0);
        line
    }

    /// Reads the bytes between two end marks.
    fn decode(stuffed: &[u8]) -> Result<Self, BadFrame> {
        if stuffed.len() > STUFFED_BYTES_MAX {
            return Err(BadFrame::TooLong);
        }
        let mut plain = [0; FRAME_BYTES_MAX + 1];
        let report = cobs::decode(stuffed, &mut plain).map_err(|_| BadFrame::Stuffing)?;
        let plain = plain.get(..report.frame_size()).ok_or(BadFrame::Stuffing)?;
        let (body, crc) = plain.split_last_chunk::<2>().ok_or(BadFrame::Stuffing)?;
        if crc16(body) != u16::from_be_bytes(*crc) {
            return Err(BadFrame::Checksum);
        }
        let mut fields = Fields(body);
        let version = fields.u8().ok_or(BadFrame::Content)?;
        if version != FRAME_VERSION {
            return Err(BadFrame::Version(version));
        }
        let kind = fields.u8().ok_or(BadFrame::Content)?;
        let message = Self::read(kind, &mut fields).ok_or(BadFrame::Content)?;
        if fields.0.is_empty() { Ok(message) } else { Err(BadFrame::Content) }
    }
}

impl Message for Up {}
impl Message for Down {}

/// Fields still to be read.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

impl sealed::Message for Up {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { rate_mhz, board } => {
                out.push(HELLO);
                out.extend(rate_mhz.to_be_bytes());
                out.extend(board.to_be_bytes());
            }
            Self::Ppg { counter, board_ms, samples } => {
                out.push(PPG);
                out.extend(counter.to_be_bytes());
                out.extend(board_ms.to_be_bytes());
                for sample in samples.iter().take(SAMPLES_MAX) {
                    out.extend(sample.to_be_bytes());
                }
            }
            Self::Slow(slow) => {
                out.push(SLOW);
                out.extend(slow.counter.to_be_bytes());
                out.extend(slow.board_ms.to_be_bytes());
                let values = slow.values();
                let fitted = (0..)
                    .zip(&values)
                    .fold(0u8, |bits, (bit, value)| bits | u8::from(value.is_some()) << bit);
                out.push(fitted);
                for value in values.iter().flatten() {
                    out.extend(value.to_be_bytes());
                }
            }
            Self::Button { counter, board_ms } => {
                out.push(BUTTON);
                out.extend(counter.to_be_bytes());
                out.extend(board_ms.to_be_bytes());
            }
        }
    }

    fn read(kind: u8, fields: &mut Fields<'_>) -> Option<Self> {
        Some(match kind {
            HELLO => Self::Hello { rate_mhz: fields.u32()?, board: fields.u32()? },
            PPG => {
                let (counter, board_ms) = (fields.u32()?, fields.u32()?);
                let mut samples = Vec::with_capacity(SAMPLES_MAX);
                while !fields.0.is_empty() {
                    if samples.len() == SAMPLES_MAX {
                        return None;
                    }
                    samples.push(fields.u16()?);
                }
                Self::Ppg { counter, board_ms, samples }
            }
            SLOW => {
                let (counter, board_ms, fitted) = (fields.u32()?, fields.u32()?, fields.u8()?);
                let mut values = [None; Slow::VALUES];
                if fitted >> Slow::VALUES != 0 {
                    return None;
                }
                for (bit, value) in values.iter_mut().enumerate() {
                    if fitted >> bit & 1 == 1 {
                        *value = Some(i32::from_be_bytes(fields.take()?));
                    }
                }
                Self::Slow(Slow::of(counter, board_ms, values))
            }
            BUTTON => Self::Button { counter: fields.u32()?, board_ms: fields.u32()? },
            _ => return None,
        })
    }
}

impl sealed::Message for Down {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Lcd { lines } => {
                out.push(LCD);
                out.extend(lines.as_flattened());
            }
            Self::Buzzer(priority) => {
                out.extend([BUZZER, priority.map_or(0, |priority| priority as u8 + 1)]);
            }
            Self::TimeSync { now_ms } => {
                out.push(TIME);
                out.extend(now_ms.to_be_bytes());
            }
        }
    }

    fn read(kind: u8, fields: &mut Fields<'_>) -> Option<Self> {
        Some(match kind {
            LCD => {
                let lines: LcdText = [fields.take()?, fields.take()?];
                let printable = lines.as_flattened().iter().all(|c| (b' '..=b'~').contains(c));
                printable.then_some(Self::Lcd { lines })?
            }
            BUZZER => Self::Buzzer(match fields.u8()? {
                0 => None,
                code => Some(Priority::from_code(code - 1)?),
            }),
            TIME => Self::TimeSync { now_ms: u64::from_be_bytes(fields.take()?) },
            _ => return None,
        })
    }
}

impl Slow {
    /// How many slow sensors a board can have.
    pub const VALUES: usize = 7;

    /// The values in wire order.
    #[must_use]
    pub fn values(&self) -> [Option<i32>; Self::VALUES] {
        [
            self.body_temperature,
            self.ambient_temperature,
            self.relative_humidity,
            self.pm2_5,
            self.pm10,
            self.co2,
            self.tvoc,
        ]
    }

    /// From values in wire order.
    #[must_use]
    pub fn of(counter: u32, board_ms: u32, values: [Option<i32>; Self::VALUES]) -> Self {
        let [body_temperature, ambient_temperature, relative_humidity, pm2_5, pm10, co2, tvoc] = values;
        Self {
            counter,
            board_ms,
            body_temperature,
            ambient_temperature,
            relative_humidity,
            pm2_5,
            pm10,
            co2,
            tvoc,
        }
    }
}

/// Cuts a stream of bytes into frames of one direction. Holds at most one frame; after garbage it is
/// in step again with the next end mark.
#[derive(Debug)]
pub struct Decoder<M> {
    held: Vec<u8>,
    /// More came than a frame may hold: everything up to the next end mark is dropped.
    overrun: bool,
    bad_frames: u64,
    direction: PhantomData<fn() -> M>,
}

impl<M: Message> Default for Decoder<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Message> Decoder<M> {
    /// A decoder that holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            held: Vec::with_capacity(STUFFED_BYTES_MAX),
            overrun: false,
            bad_frames: 0,
            direction: PhantomData,
        }
    }

    /// The next byte: a frame, or why one was dropped, when the byte ends one.
    pub fn feed(&mut self, byte: u8) -> Option<Result<M, BadFrame>> {
        if byte != 0 {
            if self.held.len() < STUFFED_BYTES_MAX {
                self.held.push(byte);
            } else {
                self.overrun = true;
            }
            return None;
        }
        let frame = match (self.overrun, self.held.is_empty()) {
            (true, _) => Some(Err(BadFrame::TooLong)),
            // Two end marks in a row: boards send one more to wake the line.
            (false, true) => None,
            (false, false) => Some(M::decode(&self.held)),
        };
        self.held.clear();
        self.overrun = false;
        self.bad_frames += u64::from(matches!(frame, Some(Err(_))));
        frame
    }

    /// All frames that end in `bytes`; bad ones are counted and left out.
    pub fn feed_all(&mut self, bytes: &[u8]) -> Vec<M> {
        bytes.iter().filter_map(|byte| self.feed(*byte)?.ok()).collect()
    }

    /// Frames dropped so far.
    #[must_use]
    pub fn bad_frames(&self) -> u64 {
        self.bad_frames
    }
}

#[cfg(test)]
mod tests;
