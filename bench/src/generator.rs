//! The load: many MQTT 5 connections that publish ready packets and count what comes back. As thin as
//! it can be, because it runs on the same processors as what it measures.

use crate::clock;
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use vitals::DeviceId;

const READ_BYTES: usize = 64 * 1024;
/// Nothing may be silent for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How fast to send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as acknowledgements come back, with so many on the way.
    Window(usize),
    /// One envelope every so often, whatever comes back.
    Every(Duration),
}

/// What one connection saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) receipts: usize,
    pub(crate) proofs: usize,
    /// From sending to the acknowledgement, milliseconds.
    pub(crate) latencies_ms: Vec<f64>,
}

/// Anything bytes go through.
pub(crate) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

/// A connection that was let in.
pub(crate) struct Line {
    pipe: Box<dyn Pipe>,
    topic: String,
    held: Vec<u8>,
    packet_id: u16,
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    out.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// The first whole packet: its first byte, where its body begins and where it ends.
fn first_packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let kind = *bytes.first()?;
    let (mut len, mut shift, mut at) = (0_usize, 0, 1);
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (bytes.len() >= at + len).then_some((kind, at, at + len))
}

impl Line {
    /// Over TLS 1.3 with the device's certificate.
    pub(crate) async fn tls(
        address: &str,
        seed: &[u8; 32],
        device: DeviceId,
        node_key: [u8; 32],
    ) -> Result<Self> {
        let (certificate, key) = link::tls::self_signed(seed)?;
        let config = Arc::new(link::tls::client_config(certificate, key, node_key)?);
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = rustls::pki_types::ServerName::try_from("node.invalid")?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        let topics = [format!("d/{device}/r"), format!("d/{device}/p")];
        Self::open(Box::new(stream), format!("d/{device}/e"), &topics).await
    }

    /// Over TCP alone, to the bench's own harness; the key says who it is.
    pub(crate) async fn plain(address: &str, key: &[u8; 32], device: DeviceId) -> Result<Self> {
        let mut tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        tcp.write_all(key).await?;
        let topics = [format!("d/{device}/r"), format!("d/{device}/p")];
        Self::open(Box::new(tcp), format!("d/{device}/e"), &topics).await
    }

    /// Over TCP alone, to somebody else's broker.
    pub(crate) async fn broker(address: &str, topic: &str) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Self::open(Box::new(tcp), topic.to_owned(), &[]).await
    }

    async fn open(pipe: Box<dyn Pipe>, topic: String, listen: &[String]) -> Result<Self> {
        let mut line = Self { pipe, topic, held: Vec::new(), packet_id: 0 };
        let mut connect = Vec::new();
        string(&mut connect, "MQTT")?;
        connect.extend_from_slice(&[5, 2, 0, 60, 0]);
        string(&mut connect, "")?;
        line.pipe.write_all(&packet(0x10, &connect)).await?;
        line.pipe.flush().await?;
        let (kind, body) = line.next().await?;
        ensure!(kind == 0x20 && body.get(1) == Some(&0), "the connection was refused: {body:?}");
        if !listen.is_empty() {
            let mut subscribe = vec![0xff, 0xff, 0];
            for topic in listen {
                string(&mut subscribe, topic)?;
                subscribe.push(0);
            }
            line.pipe.write_all(&packet(0x82, &subscribe)).await?;
            line.pipe.flush().await?;
            let (kind, body) = line.next().await?;
            ensure!(kind == 0x90, "the subscription was refused: {body:?}");
        }
        Ok(line)
    }

    async fn next(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, from, to)) = first_packet(&self.held) {
                let body = self.held[from..to].to_vec();
                self.held.drain(..to);
                return Ok((kind, body));
            }
            let read = tokio::time::timeout(PATIENCE, self.pipe.read_buf(&mut self.held)).await??;
            ensure!(read > 0, "the connection was closed");
        }
    }

    /// PUBLISH packets of these envelopes, ready to send in this order.
    pub(crate) fn packets(&mut self, envelopes: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        envelopes
            .into_iter()
            .map(|bytes| {
                self.packet_id = self.packet_id % 60_000 + 1;
                let mut body = Vec::with_capacity(bytes.len() + 64);
                string(&mut body, &self.topic)?;
                body.extend_from_slice(&self.packet_id.to_be_bytes());
                body.push(0);
                body.extend_from_slice(&bytes);
                Ok(packet(0x32, &body))
            })
            .collect()
    }

    /// Sends all packets and waits for all acknowledgements.
    pub(crate) async fn publish(&mut self, packets: &[Vec<u8>], pace: Pace) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut sent_at: Vec<Instant> = Vec::with_capacity(packets.len());
        let mut out = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        let began = clock::instant();
        while seen.acknowledged + seen.refused < packets.len() {
            let answered = seen.acknowledged + seen.refused;
            let (room, due) = match pace {
                Pace::Window(window) => (window.saturating_sub(sent_at.len() - answered), PATIENCE),
                Pace::Every(gap) => {
                    let passed = began.elapsed();
                    let due = passed.as_nanos() / gap.as_nanos().max(1) + 1;
                    let due = usize::try_from(due)?.min(packets.len());
                    let next = gap.mul_f64(due as f64).saturating_sub(passed);
                    let done = sent_at.len() == packets.len();
                    (due.saturating_sub(sent_at.len()), if done { PATIENCE } else { next })
                }
            };
            out.clear();
            for packet in packets[sent_at.len()..].iter().take(room) {
                out.extend_from_slice(packet);
            }
            if !out.is_empty() {
                let now = clock::instant();
                let count = room.min(packets.len() - sent_at.len());
                sent_at.extend(std::iter::repeat_n(now, count));
                self.pipe.write_all(&out).await?;
                self.pipe.flush().await?;
            }
            match tokio::time::timeout(due, self.pipe.read(&mut buffer)).await {
                Ok(read) => {
                    let read = read?;
                    ensure!(read > 0, "the connection was closed");
                    self.held.extend_from_slice(&buffer[..read]);
                    self.take(&mut seen, &sent_at)?;
                }
                Err(_) if due < PATIENCE => {}
                Err(_) => bail!("no acknowledgement for {PATIENCE:?}"),
            }
        }
        Ok(seen)
    }

    /// Reads on for a while, for receipts and proofs that come after the acknowledgements.
    pub(crate) async fn listen(&mut self, time: Duration) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut buffer = vec![0; READ_BYTES];
        let until = tokio::time::Instant::now() + time;
        while let Ok(read) = tokio::time::timeout_at(until, self.pipe.read(&mut buffer)).await {
            let read = read?;
            ensure!(read > 0, "the connection was closed");
            self.held.extend_from_slice(&buffer[..read]);
            self.take(&mut seen, &[])?;
        }
        Ok(seen)
    }

    fn take(&mut self, seen: &mut Seen, sent_at: &[Instant]) -> Result<()> {
        let mut at = 0;
        while let Some((kind, from, to)) = first_packet(&self.held[at..]) {
            let body = &self.held[at + from..at + to];
            match kind >> 4 {
                4 => {
                    if let Some(sent) = sent_at.get(seen.acknowledged + seen.refused) {
                        seen.latencies_ms.push(sent.elapsed().as_secs_f64() * 1e3);
                    }
                    // A reason below 0x80 is a success; none at all, too.
                    if body.get(2).is_none_or(|code| *code < 0x80) {
                        seen.acknowledged += 1;
                    } else {
                        seen.refused += 1;
                    }
                }
                3 => match body.get(..2).map(|len| usize::from(len[1])).and_then(|len| body.get(len + 1)) {
                    Some(b'r') => seen.receipts += 1,
                    _ => seen.proofs += 1,
                },
                14 => bail!("the node ended the session: {}", hex::encode(body)),
                _ => {}
            }
            at += to;
        }
        self.held.drain(..at);
        Ok(())
    }
}

/// What all connections saw together, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) wall_s: f64,
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) receipts: usize,
    pub(crate) latencies_ms: Vec<f64>,
}

/// Publishes every line's packets at the same time; gives the lines back.
pub(crate) async fn run(
    lines: Vec<Line>,
    packets: Vec<Vec<Vec<u8>>>,
    pace: Pace,
) -> Result<(Vec<Line>, Run)> {
    let began = clock::instant();
    let count = lines.len();
    let tasks: Vec<_> = lines
        .into_iter()
        .zip(packets)
        .enumerate()
        .map(|(at, (mut line, packets))| {
            tokio::spawn(async move {
                if let Pace::Every(gap) = pace {
                    // Devices do not tick together.
                    tokio::time::sleep(gap.mul_f64(at as f64 / count as f64)).await;
                }
                line.publish(&packets, pace).await.map(|seen| (line, seen))
            })
        })
        .collect();
    let (mut lines, mut run) = (Vec::new(), Run::default());
    for task in tasks {
        let (line, seen) = task.await.context("a connection's task")??;
        lines.push(line);
        run.acknowledged += seen.acknowledged;
        run.refused += seen.refused;
        run.receipts += seen.receipts;
        run.latencies_ms.extend(seen.latencies_ms);
    }
    run.wall_s = began.elapsed().as_secs_f64();
    run.latencies_ms.sort_by(f64::total_cmp);
    Ok((lines, run))
}

/// Lets every line read on for a while.
pub(crate) async fn drain(lines: Vec<Line>, time: Duration) -> Result<(Vec<Line>, usize, usize)> {
    let tasks: Vec<_> = lines
        .into_iter()
        .map(|mut line| tokio::spawn(async move { line.listen(time).await.map(|seen| (line, seen)) }))
        .collect();
    let (mut lines, mut receipts, mut proofs) = (Vec::new(), 0, 0);
    for task in tasks {
        let (line, seen) = task.await.context("a connection's task")??;
        lines.push(line);
        receipts += seen.receipts;
        proofs += seen.proofs;
    }
    Ok((lines, receipts, proofs))
}
