//! Replay of recorded light signals from CSV files, as found in the wild: with or without a header,
//! separated by commas, semicolons or tabs, with a time column or without, in counts of any range.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest file read, bytes.
pub const RECORDING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Fewest samples worth replaying: some seconds.
pub const SAMPLES_MIN: usize = 200;
/// The rate of a file without a time column, if the caller gives none, millihertz.
pub const RATE_DEFAULT_MHZ: u32 = 100_000;
/// Columns that hold the signal, by name, best first.
const SIGNAL_NAMES: [&str; 6] = ["ppg", "pleth", "red", "ir", "signal", "hr"];
/// Columns that hold the time, by name.
const TIME_NAMES: [&str; 5] = ["timestamp", "time", "timer", "datetime", "ms"];
/// Columns that hold a heart rate the recorder itself worked out.
const OWN_RATE_NAMES: [&str; 2] = ["hrm", "bpm"];

/// Why a file cannot be replayed. Its owner moves.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is longer than [`RECORDING_BYTES_MAX`].
    #[error("the recording is longer than {RECORDING_BYTES_MAX} bytes")]
    TooLong,
    /// The column asked for is not there.
    #[error("the recording has no column `{0}`")]
    Column(String),
    /// A line has no number in the signal's column.
    #[error("line {line} of the recording has no number in column {column}")]
    Number {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Too few samples.
    #[error("the recording holds {0} samples; {SAMPLES_MIN} are needed at least")]
    Short(usize),
    /// The rate is not one a pulse can be seen at.
    #[error("the recording has {0} samples per 1000 seconds; between 15000 and 400000 can be replayed")]
    Rate(u64),
}

/// What the file does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The signal's column by name, or by number from 1; guessed when none.
    pub column: Option<String>,
    /// Samples per 1000 seconds; taken from the time column when none.
    pub rate_mhz: Option<u32>,
}

/// A recorded light signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    rate_mhz: u32,
    samples: Vec<u16>,
    own_rate_bpm: Vec<u16>,
}

impl Recording {
    /// Reads a file, guessing what it does not say.
    pub fn from_csv(path: &Path, hints: &Hints) -> Result<Self, RecordingError> {
        let mut text = String::new();
        let read = File::open(path)?.take(RECORDING_BYTES_MAX + 1).read_to_string(&mut text)?;
        if read as u64 > RECORDING_BYTES_MAX {
            return Err(RecordingError::TooLong);
        }
        Self::parse(&text, hints)
    }

    /// Reads the text of a file.
    pub fn parse(text: &str, hints: &Hints) -> Result<Self, RecordingError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty())
            .peekable();
        let first = lines.peek().map_or("", |(_, line)| *line);
        let separator = ['\t', ';', ','].into_iter().find(|c| first.contains(*c)).unwrap_or(',');
        let titles: Vec<String> =
            first.split(separator).map(|title| title.trim().trim_matches('"').to_ascii_lowercase()).collect();
        let has_header =
            titles.iter().all(|title| title.parse::<f64>().is_err() && moment_ms(title).is_none());
        if has_header {
            lines.next();
        }
        let titled = |names: &[&str]| {
            names.iter().find_map(|name| titles.iter().position(|title| has_header && title == name))
        };
        let signal = match &hints.column {
            Some(wanted) => {
                let lower = wanted.to_ascii_lowercase();
                let named = titles.iter().position(|title| has_header && *title == lower);
                let numbered = || {
                    wanted.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < titles.len())
                };
                named.or_else(numbered).ok_or_else(|| RecordingError::Column(wanted.clone()))?
            }
            None => titled(&SIGNAL_NAMES).unwrap_or(titles.len() - 1),
        };
        let (time, own) = (titled(&TIME_NAMES), titled(&OWN_RATE_NAMES));

        let (mut values, mut own_rates) = (Vec::new(), Vec::new());
        let (mut began_ms, mut ended_ms) = (None, None);
        for (line_number, line) in lines {
            let field = |column: usize| line.split(separator).nth(column).map(str::trim);
            let value = field(signal)
                .and_then(|text| text.parse::<f64>().ok())
                .filter(|value| value.is_finite())
                .ok_or(RecordingError::Number { line: line_number, column: signal + 1 })?;
            values.push(value);
            if let Some(own) = own {
                own_rates.push(field(own).and_then(|text| text.parse::<f64>().ok()).map_or(0, whole));
            }
            if let Some(at_ms) = time.and_then(|time| moment_ms(field(time)?)) {
                began_ms.get_or_insert(at_ms);
                ended_ms = Some(at_ms);
            }
        }
        if values.len() < SAMPLES_MIN {
            return Err(RecordingError::Short(values.len()));
        }
        let rate_mhz = match (hints.rate_mhz, began_ms, ended_ms) {
            (Some(rate_mhz), ..) => u64::from(rate_mhz),
            (None, Some(began), Some(ended)) if ended > began => rate_of(values.len(), ended - began),
            _ => u64::from(RATE_DEFAULT_MHZ),
        };
        let bounds = device::ppg::RATE_MIN_MHZ..=device::ppg::RATE_MAX_MHZ;
        let rate_mhz = u32::try_from(rate_mhz)
            .ok()
            .filter(|rate| bounds.contains(rate))
            .ok_or(RecordingError::Rate(rate_mhz))?;
        Ok(Self { rate_mhz, samples: scaled(&values), own_rate_bpm: own_rates })
    }

    /// Samples per 1000 seconds.
    #[must_use]
    pub fn rate_mhz(&self) -> u32 {
        self.rate_mhz
    }

    /// All samples, as a board's converter would give them.
    #[must_use]
    pub fn samples(&self) -> &[u16] {
        &self.samples
    }

    /// The sample of this index; after its end the recording starts again.
    #[must_use]
    pub fn sample(&self, index: u64) -> u16 {
        let len = self.samples.len() as u64;
        usize::try_from(index % len).ok().and_then(|index| self.samples.get(index)).copied().unwrap_or(0)
    }

    /// The heart rate the recorder itself gave at this sample, beats per minute, if it did.
    #[must_use]
    pub fn own_rate_bpm(&self, index: usize) -> Option<u16> {
        self.own_rate_bpm.get(index).copied().filter(|bpm| *bpm > 0)
    }

    /// How long it lasts, milliseconds.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        self.samples.len() as u64 * 1_000_000 / u64::from(self.rate_mhz)
    }
}

/// A moment in milliseconds since some origin: a number of milliseconds, or a date and time of day
/// (whose date only counts as a day number within its month: recordings do not last for months).
fn moment_ms(text: &str) -> Option<f64> {
    if let Ok(ms) = text.parse::<f64>() {
        return Some(ms);
    }
    let (date, time) = text.split_once([' ', 'T'])?;
    let day: f64 = date.rsplit('-').next()?.parse().ok()?;
    let mut parts = time.trim_end_matches('Z').splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some((((day * 24.0 + hours) * 60.0 + minutes) * 60.0 + seconds) * 1_000.0)
}

/// Samples per 1000 seconds of so many samples over so long, from the first to the last.
fn rate_of(samples: usize, span_ms: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "samples of a bounded file; a rate too large for 64 bits saturates and is refused"
    )]
    let rate = ((samples - 1) as f64 * 1e6 / span_ms).round() as u64;
    rate
}

fn whole(value: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = value.round() as u16;
    whole
}

/// Counts that fit a 16-bit converter are kept; anything else is spread over its range.
fn scaled(values: &[f64]) -> Vec<u16> {
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    let counts = values.iter().all(|value| value.fract() == 0.0);
    if counts && low >= 0.0 && high <= f64::from(u16::MAX) {
        return values.iter().copied().map(whole).collect();
    }
    let spread = f64::from(u16::MAX) / (high - low).max(f64::MIN_POSITIVE);
    values.iter().map(|value| whole((value - low) * spread)).collect()
}

#[cfg(test)]
mod replay_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, line: impl Fn(usize) -> String) -> String {
        std::iter::once(header.to_owned()).chain((0..300).map(line)).collect::<Vec<_>>().join("\r\n")
    }

    fn parse(text: &str) -> Result<Recording, RecordingError> {
        Recording::parse(text, &Hints::default())
    }

    #[test]
    fn one_column_without_a_header_is_taken_at_a_hundred_hertz() {
        let recording = parse(&file("512", |index| (index + 1).to_string())).unwrap();
        assert_eq!((recording.rate_mhz(), recording.samples().len()), (100_000, 301));
        assert_eq!((recording.sample(0), recording.sample(300), recording.sample(301)), (512, 300, 512));
    }

    #[test]
    fn the_time_column_gives_the_rate() {
        let timer = parse(&file("timer,hr", |index| format!("{:.4},{index}", index as f64 * 8.547))).unwrap();
        assert_eq!(timer.rate_mhz(), 117_000);
        let clock = file("datetime,hr", |index| {
            let ms = index * 10;
            format!("2016-11-24 13:59:{:02}.{:03}000,{index}", 58 + ms / 1_000 % 60, ms % 1_000)
        });
        assert_eq!(parse(&clock).unwrap().rate_mhz(), 100_000);
    }

    #[test]
    fn a_wearable_with_tabs_and_large_counts_is_scaled() {
        let text = file("timestamp\tppg\thrm\taccx", |index| {
            format!(
                "{}\t{}.00\t{}.00\t-6.31",
                1_549_066_937_018u64 + index as u64 * 51,
                2_700_000 + index * 100,
                80
            )
        });
        let recording = parse(&text).unwrap();
        assert_eq!(recording.rate_mhz(), 19_608);
        assert_eq!((recording.sample(0), recording.sample(299)), (0, u16::MAX));
        assert_eq!(recording.own_rate_bpm(5), Some(80));
    }

    #[test]
    fn a_column_can_be_named_or_numbered() {
        let text = file("a,b", |index| format!("{index},{}", index * 2));
        let with = |column: &str| {
            Recording::parse(&text, &Hints { column: Some(column.into()), rate_mhz: Some(50_000) })
        };
        assert_eq!(with("a").unwrap().sample(9), 9);
        assert_eq!(with("2").unwrap().sample(9), 18);
        assert!(matches!(with("c"), Err(RecordingError::Column(name)) if name == "c"));
        assert!(matches!(with("3"), Err(RecordingError::Column(_))));
    }

    #[test]
    fn what_cannot_be_replayed_is_said() {
        assert!(matches!(parse(""), Err(RecordingError::Short(0))));
        let text = file("ppg", |index| if index == 7 { "cat".into() } else { index.to_string() });
        assert!(matches!(parse(&text), Err(RecordingError::Number { line: 9, column: 1 })));
        let slow = file("timestamp,ppg", |index| format!("{},{index}", index * 1_000));
        assert!(matches!(parse(&slow), Err(RecordingError::Rate(1_000))));
        let missing = Recording::from_csv(Path::new("/nonexistent/ppg.csv"), &Hints::default());
        assert!(matches!(missing, Err(RecordingError::Read(_))));
    }
}
