//! `aceso seal`: valid envelopes for MQTT clients that are not ours. Keys, nonces and journal are the
//! gateway's; this is its command line. `docs/integrate.md` is the manual.

mod decimal;
mod readings;
mod senml;

use crate::clean_shutdown;
use anyhow::{Context, Result};
use gateway::{ThirdPartySealer, third_party_sealer};
use host::{clock, output};
use link::pem;
use senml::Pack;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use vitals::envelope::{ClockQuality, Envelope};
use vitals::ids::Class;
use vitals::metric::Reading;

/// Longest line of SenML taken, bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Seal readings for a device of another maker.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Make the device's keys, if it has none, and write the request that its organisation answers.
    Init {
        /// Folder for keys and journal.
        #[arg(long)]
        keys: PathBuf,
        /// Sensors whose readings it seals, one patient each.
        #[arg(long, default_value_t = 1)]
        sensors: usize,
        /// How often each sensor sends at least, seconds (1 to 3600). Announced to the organisation: a
        /// sensor counts as silent after three times as long, and never before 15 seconds.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
        every_s: Option<u64>,
        /// The pairing request goes here.
        #[arg(long)]
        request: PathBuf,
    },
    /// Take the organisation's answer to the request.
    Accept {
        /// Folder for keys and journal.
        #[arg(long)]
        keys: PathBuf,
        /// The pairing answer.
        #[arg(long)]
        answer: PathBuf,
        /// The organisation's record key (64 hex digits), read from its own page or desk.
        #[arg(long)]
        record_key: String,
    },
    /// Write certificate and key for a TLS client, and the node's certificates once their key is the pinned one.
    Tls {
        /// Folder for keys and journal.
        #[arg(long)]
        keys: PathBuf,
        /// The node's MQTT ingress, host:port.
        #[arg(long)]
        node: String,
        /// Folder for cert.pem, key.pem and node.pem.
        #[arg(long)]
        out: PathBuf,
    },
    /// Seal readings from arguments, or SenML packs from standard input, one a line.
    Readings(ReadingsOptions),
    /// Print what has no checked proof yet, to be published again.
    Again {
        /// Folder for keys and journal.
        #[arg(long)]
        keys: PathBuf,
    },
    /// Check what the node sent down; forget what is proven.
    Settle {
        /// Folder for keys and journal.
        #[arg(long)]
        keys: PathBuf,
        /// A payload from d/<device>/r.
        #[arg(long)]
        receipt: Vec<PathBuf>,
        /// A payload from d/<device>/p.
        #[arg(long)]
        delivery: Vec<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct ReadingsOptions {
    /// Folder for keys and journal.
    #[arg(long)]
    keys: PathBuf,
    /// Which sensor's readings these are, counted from 0.
    #[arg(long, default_value_t = 0)]
    sensor: usize,
    /// METRIC=VALUE in the metric's unit, or METRIC=REASON; without any, SenML is read from standard input.
    #[arg(long)]
    reading: Vec<String>,
    /// When they were taken, milliseconds since 1970; now, if not given.
    #[arg(long, requires = "reading")]
    at: Option<u64>,
    /// How far the device's clock can be trusted: synced, holding or unset.
    #[arg(long, default_value = "synced", value_parser = clock_quality)]
    clock: ClockQuality,
    /// Write the one envelope to this file instead of standard output.
    #[arg(long, requires = "reading", conflicts_with = "lines")]
    out: Option<PathBuf>,
    /// Print a line of JSON per envelope instead of its bytes.
    #[arg(long)]
    lines: bool,
}

fn clock_quality(word: &str) -> Result<ClockQuality, String> {
    match word {
        "synced" => Ok(ClockQuality::Synced),
        "holding" => Ok(ClockQuality::Holding),
        "unset" => Ok(ClockQuality::Unset),
        _ => Err("write synced, holding or unset".to_owned()),
    }
}

/// Runs one step.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    match options.step {
        Step::Init { keys, sensors, every_s, request } => {
            anyhow::ensure!(sensors > 0, "--sensors 0 would seal nothing");
            let interval_ms = every_s.map(|seconds| seconds * 1000);
            let made = gateway::first_boot_every(&keys, sensors, interval_ms, &mut clock::entropy)?;
            write(&request, &made.encode(), 0o644)?;
            print_json(&json!({ "device": made.gateway.id().to_string(), "sensors": sensors }))
        }
        Step::Accept { keys, answer, record_key } => {
            let expected = super::gateway::record_key(&record_key)?;
            clean_shutdown::check(&keys)?;
            let paired = gateway::accept(&keys, &read(&answer)?, Some(expected))?;
            let streams: Vec<_> = paired
                .streams
                .iter()
                .map(|(sensor, stream, class)| {
                    json!({ "sensor": sensor.to_string(), "stream": stream.to_string(), "class": class.word() })
                })
                .collect();
            print_json(&json!({
                "device": paired.gateway.to_string(),
                "genesis": paired.genesis.to_string(),
                "record_key": hex::encode(paired.record_key),
                "streams": streams,
            }))
        }
        Step::Tls { keys, node, out } => tls(&keys, &node, &out),
        Step::Readings(options) => readings(&options),
        Step::Again { keys } => {
            let mut author = open(&keys)?;
            for bytes in author.unproven()? {
                print_line(&author, &bytes, json!({}))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Step::Settle { keys, receipt, delivery } => settle(&keys, &receipt, &delivery),
    }
}

fn open(keys: &Path) -> Result<ThirdPartySealer> {
    // As a gateway's start does: what is written from here on is not what its last stop noted.
    clean_shutdown::check(keys)?;
    ThirdPartySealer::open(keys, &(Arc::new(clock::entropy) as gateway::Entropy))
        .map_err(|why| advise(keys, why))
}

/// Says which step is missing.
fn advise(keys: &Path, why: third_party_sealer::SealerError) -> anyhow::Error {
    use gateway::{GatewayError, KeyError};
    use third_party_sealer::SealerError::Gateway;
    let keys = keys.display();
    let advice = match &why {
        Gateway(GatewayError::Keys(KeyError::NoKeys)) => {
            format!("{keys} holds no device: make one with `aceso seal init --keys {keys} --request FILE`")
        }
        Gateway(GatewayError::Keys(KeyError::NotPaired)) => format!(
            "{keys} is not paired: give its request to the organisation, then \
             `aceso seal accept --keys {keys} --answer FILE --record-key HEX`"
        ),
        _ => return why.into(),
    };
    anyhow::anyhow!(advice)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let open = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(file)?;
        file.write_all(bytes)
    };
    open().with_context(|| format!("writing {}", file.display()))
}

fn print_json(value: &serde_json::Value) -> Result<ExitCode> {
    output::print_line(value)?;
    Ok(ExitCode::SUCCESS)
}

fn tls(keys: &Path, node: &str, out: &Path) -> Result<ExitCode> {
    let config = third_party_sealer::tls(keys).map_err(|why| advise(keys, why))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nodes = runtime.block_on(link::server_certificate::fetch(node, config))?;
    let (certificate, key) = third_party_sealer::certificate(keys)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(out)
        .with_context(|| format!("making {}", out.display()))?;
    write(&out.join("cert.pem"), pem::armour("CERTIFICATE", &certificate).as_bytes(), 0o644)?;
    write(&out.join("key.pem"), pem::armour("PRIVATE KEY", &key).as_bytes(), 0o600)?;
    let nodes: String = nodes.iter().map(|certificate| pem::armour("CERTIFICATE", certificate)).collect();
    write(&out.join("node.pem"), nodes.as_bytes(), 0o644)?;
    print_json(&json!({ "record_key": hex::encode(third_party_sealer::record_key(keys)?) }))
}

fn readings(options: &ReadingsOptions) -> Result<ExitCode> {
    let now_ms = clock::now_ms();
    let mut author = open(&options.keys)?;
    if options.reading.is_empty() {
        return senml(options, &mut author);
    }
    let at_ms = options.at.unwrap_or(now_ms);
    let read: Vec<Reading> =
        options.reading.iter().map(|text| readings::argument(text, at_ms)).collect::<Result<_, _>>()?;
    let of = |class: Class| read.iter().any(|reading| reading.metric.info().class == class);
    anyhow::ensure!(
        options.lines || !(of(Class::Vitals) && of(Class::Environment)),
        "these readings are of two classes, vitals and environment, so they make two envelopes: \
         add --lines, or seal one class at a time"
    );
    for sealed in author.seal(options.sensor, &read, options.clock, now_ms)? {
        match &options.out {
            _ if options.lines => print_line(&author, &sealed.bytes, json!({}))?,
            Some(file) => write(file, &sealed.bytes, 0o600)?,
            None => hand_over(&sealed.bytes)?,
        }
    }
    author.close()?;
    Ok(ExitCode::SUCCESS)
}

/// What was refused of the packs read so far.
#[derive(Debug, Default)]
struct RefusalCounts {
    packs: usize,
    wrong_packs: usize,
    records: usize,
    wrong_records: usize,
}

impl RefusalCounts {
    /// Says on standard error what is refused of the pack in this line, and counts it.
    fn note(&mut self, line: u64, pack: &Result<Pack>) {
        self.packs += 1;
        match pack {
            Ok(pack) => {
                self.records += pack.readings.len() + pack.refused.len();
                self.wrong_records += pack.refused.len();
                for (record, why) in &pack.refused {
                    output::complain(format_args!("aceso: line {line}: record {record}: {why}"));
                }
            }
            Err(why) => {
                self.wrong_packs += 1;
                output::complain(format_args!("aceso: line {line}: {}", host::sentence(why.as_ref())));
            }
        }
    }

    /// The sums, if anything was refused.
    fn sum(&self) -> Option<String> {
        let Self { packs, wrong_packs, records, wrong_records } = self;
        (wrong_packs + wrong_records > 0).then(|| {
            format!(
                "refused: {wrong_packs} of {packs} packs whole, and {wrong_records} of {records} records of the others"
            )
        })
    }
}

/// Seals pack after pack. What is refused is named on standard error, and the next one is read.
fn senml(options: &ReadingsOptions, author: &mut ThirdPartySealer) -> Result<ExitCode> {
    let mut input = io::stdin().lock();
    let mut refusals = RefusalCounts::default();
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        anyhow::ensure!(
            line.len() as u64 != LINE_BYTES_MAX,
            "line {number} is longer than {LINE_BYTES_MAX} bytes"
        );
        if line.trim_ascii().is_empty() {
            continue;
        }
        let now_ms = clock::now_ms();
        let mut sealed = Vec::new();
        let pack = senml::read(&line, now_ms).map_err(anyhow::Error::from).and_then(|pack| {
            if !pack.readings.is_empty() {
                sealed = author.seal(options.sensor, &pack.readings, options.clock, now_ms)?;
            }
            Ok(pack)
        });
        refusals.note(number, &pack);
        let mut fields = json!({ "line": number });
        if let Ok(Pack { refused, .. }) = &pack
            && !refused.is_empty()
        {
            let refused =
                refused.iter().map(|(record, why)| json!({ "record": record, "why": why.to_string() }));
            fields["refused"] = refused.collect();
        }
        for envelope in sealed {
            print_line(author, &envelope.bytes, fields.clone())?;
        }
    }
    let Some(sum) = refusals.sum() else { return Ok(ExitCode::SUCCESS) };
    output::complain(format_args!("aceso: {sum}"));
    Ok(ExitCode::FAILURE)
}

/// Prints a line of JSON about an envelope, with the entries of `fields`, an object, beside its own.
fn print_line(author: &ThirdPartySealer, bytes: &[u8], mut fields: Value) -> Result<()> {
    let envelope = Envelope::decode(bytes).map_err(|why| anyhow::anyhow!("{why}"))?;
    fields["topic"] = json!(format!("d/{}/e", author.gateway()));
    fields["class"] = json!(envelope.header.class.word());
    fields["stream"] = json!(envelope.header.stream.to_string());
    fields["seq"] = json!(envelope.header.seq);
    fields["hash"] = json!(hex::encode(vitals::envelope::header_hash(&envelope.header_bytes)));
    fields["envelope"] = json!(hex::encode(bytes));
    hand_over(format!("{fields}\n").as_bytes())
}

/// Hands what was sealed to whoever publishes it, at once: they wait for this, not for a buffer to fill. When they
/// have gone, sealing ends: each further envelope would be a gap in the record.
fn hand_over(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("nobody takes what is sealed")
}

fn settle(keys: &Path, receipts: &[PathBuf], deliveries: &[PathBuf]) -> Result<ExitCode> {
    anyhow::ensure!(
        !(receipts.is_empty() && deliveries.is_empty()),
        "give --receipt FILE (from d/<device>/r) or --delivery FILE (from d/<device>/p)"
    );
    let mut author = open(keys)?;
    let now_ms = clock::now_ms();
    let mut receipted = Vec::new();
    // Receipts first: a delivery forgets the envelopes they are about.
    for file in receipts {
        let hash = author.receipt(&read(file)?, now_ms);
        receipted.push(hex::encode(hash.with_context(|| format!("the receipt {}", file.display()))?));
    }
    let mut proven = 0;
    for file in deliveries {
        let count = author.delivery(&read(file)?, now_ms);
        proven += count.with_context(|| format!("the delivery {}", file.display()))?;
    }
    let pending = author.pending();
    author.close()?;
    print_json(&json!({ "receipted": receipted, "proven": proven, "pending": pending }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn sealing_by_hand_takes_the_note_of_an_orderly_stop_away_and_heeds_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        let file = folder.path().join("journal/newest");
        for (kept, said) in [(true, ""), (false, "newest")] {
            std::fs::write(&file, "1").unwrap();
            clean_shutdown::note(folder.path(), &["journal"]).unwrap();
            if !kept {
                std::fs::write(&file, "2").unwrap();
            }
            // The folder is not paired, so it does not open in the end.
            let why = open(folder.path()).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
            assert_eq!(folder.path().join("closed").exists(), !kept, "only what was checked is forgotten");
        }
    }
}
