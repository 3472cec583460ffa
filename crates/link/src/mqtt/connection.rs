//! One device's connection after its handshake: bytes between a stream and a [`Session`], and the
//! times and quotas it has to keep.

use crate::ingress::{Reply, Verdict};
use crate::mqtt::server::{House, PACKET_COST_BYTES};
use crate::mqtt::server_session::{Happening, Session};
use crate::mqtt::topic::Lane;
use crate::quota::Bucket;
use crate::refusal::LinkRefusal;
use crate::sessions::{Below, Down, Order, Seat, below, bit};
use crate::unauthenticated::{Place, evicted};
use crate::{Stop, stopped};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use vitals::DeviceId;

const READ_BYTES: usize = 16 * 1024;
/// Output sent at once before the device is read again, bytes.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// When the device has to have sent what.
struct Due {
    silence_max: Duration,
    packet_timeout: Duration,
    /// The next packet, whole.
    silent_at: Instant,
    /// The end of the packet that has begun.
    packet_by: Option<Instant>,
    packets: u64,
    /// Not read before, because of its pace.
    resume_at: Option<Instant>,
    hungry: bool,
}

impl Due {
    fn next(&self) -> Instant {
        let late = self.packet_by.map_or(self.silent_at, |by| by.min(self.silent_at));
        self.resume_at.unwrap_or(late)
    }

    /// Time that the device was not read does not count against it.
    fn read_again(&mut self, connected: bool) {
        let now = Instant::now();
        if connected {
            self.silent_at = now + self.silence_max;
        }
        self.packet_by = self.packet_by.map(|_| now + self.packet_timeout);
    }

    /// Bytes came; `packets` have ended since the beginning.
    fn heard(&mut self, session: &Session, connected: bool) {
        let now = Instant::now();
        let ended = session.packets() > self.packets;
        self.packets = session.packets();
        if ended && connected {
            self.silent_at = now + self.silence_max;
        }
        if !session.is_within_packet() {
            self.packet_by = None;
        } else if ended || self.packet_by.is_none() {
            self.packet_by = Some(now + self.packet_timeout);
        }
    }

    fn missed(&self, connected: bool) -> LinkRefusal {
        match self.packet_by {
            _ if !connected => LinkRefusal::ConnectSlow,
            Some(by) if by <= self.silent_at => LinkRefusal::PacketSlow,
            _ => LinkRefusal::KeepAlive,
        }
    }
}

/// One device's connection.
pub(crate) struct Talk<S> {
    stream: S,
    session: Session,
    house: Arc<House>,
    device: DeviceId,
    key: [u8; 32],
    /// Cloned into every reply; at most a window of them is on its way, so it needs no bound.
    verdicts: mpsc::UnboundedSender<(u64, Verdict)>,
    answers: mpsc::UnboundedReceiver<(u64, Verdict)>,
    /// Until its CONNECT.
    stranger: Option<Place>,
    seat: Option<Seat>,
    down: Option<Down>,
    pace: Bucket,
    refusals: Bucket,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// With the holder of `key`, if the registry admits it.
    pub(crate) fn open(
        stream: S,
        key: [u8; 32],
        house: Arc<House>,
        stranger: Option<Place>,
    ) -> Result<Self, String> {
        let device = house
            .registry
            .admits(&key)
            .inspect_err(|_| house.ingress.turned_away(LinkRefusal::KeyNotAdmitted))?;
        let session = if house.welcomes(device) {
            Session::new(device)
        } else {
            Session::unwelcome(device, LinkRefusal::ReconnectRate)
        };
        let (verdicts, answers) = mpsc::unbounded_channel();
        let now_ms = house.now_ms();
        let pace = Bucket::full(house.bounds.pace, now_ms);
        let refusals = Bucket::full(house.bounds.refusal_rate, now_ms);
        let (seat, down) = (None, None);
        Ok(Self {
            stream,
            session,
            house,
            device,
            key,
            verdicts,
            answers,
            stranger,
            seat,
            down,
            pace,
            refusals,
        })
    }

    /// Until one side ends it.
    pub(crate) async fn run(mut self, connect_by: Instant, mut stop: Stop) -> Result<(), String> {
        let mut due = Due {
            silence_max: Duration::MAX,
            packet_timeout: self.house.bounds.packet_timeout,
            silent_at: connect_by,
            packet_by: None,
            packets: 0,
            resume_at: None,
            hungry: true,
        };
        let mut registry = interval(self.house.bounds.registry_every);
        registry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let hungry = self.session.is_hungry() && due.resume_at.is_none();
            if hungry && !std::mem::replace(&mut due.hungry, hungry) {
                due.read_again(self.seat.is_some());
            }
            due.hungry = hungry;
            let happenings = tokio::select! {
                read = self.stream.read(&mut buffer), if hungry => {
                    let read = read.map_err(|error| error.to_string())?;
                    if read == 0 {
                        return Ok(());
                    }
                    let happenings = self.session.receive(&buffer[..read]);
                    self.spend(read, &mut due);
                    due.heard(&self.session, self.seat.is_some());
                    happenings
                }
                Some((slot, verdict)) = self.answers.recv() => {
                    let mut happenings = self.session.answer(slot, verdict);
                    while let Ok((slot, verdict)) = self.answers.try_recv() {
                        happenings.extend(self.session.answer(slot, verdict));
                    }
                    happenings
                }
                below = below(&mut self.down) => match below {
                    Below::Order(Order::TakenOver) => vec![self.session.taken_over()],
                    Below::Order(Order::Barred(sentence)) => self.barred(&sentence),
                    Below::Deliver(lane, bytes) => {
                        self.deliver(lane, bytes);
                        vec![]
                    }
                },
                _ = registry.tick() => match self.house.registry.admits(&self.key) {
                    Ok(_) => vec![],
                    Err(sentence) => self.barred(&sentence),
                },
                // Not while a client is held back by not reading it: the silence would be ours.
                () = sleep_until(due.next()), if hungry || due.resume_at.is_some() => {
                    match due.resume_at.take() {
                        Some(_) => vec![],
                        None => self.session.turn_away(due.missed(self.seat.is_some())).into(),
                    }
                }
                () = evicted(&mut self.stranger) => {
                    self.session.turn_away(LinkRefusal::StrangerEvicted).into()
                }
                () = stopped(&mut stop) => vec![self.session.shutting_down()],
            };
            let end = self.happened(happenings, &mut due);
            self.flush().await?;
            if let Some(why) = end {
                let _ = timeout(self.house.bounds.write_timeout, self.stream.shutdown()).await;
                return Err(why);
            }
        }
    }

    /// Charges what was read to the device's pace.
    fn spend(&mut self, read: usize, due: &mut Due) {
        let packets = usize::try_from(self.session.packets() - due.packets).unwrap_or(usize::MAX);
        let cost = read.saturating_add(packets.saturating_mul(PACKET_COST_BYTES));
        let wait = self.pace.spend(cost, self.house.now_ms());
        if !wait.is_zero() {
            self.house.ingress.turned_away(LinkRefusal::Paced);
            due.resume_at = Some(Instant::now() + wait);
        }
    }

    fn barred(&mut self, sentence: &str) -> Vec<Happening> {
        vec![Happening::Refused(LinkRefusal::KeyNotAdmitted), self.session.barred(sentence)]
    }

    /// Does what the session asks for; says why it ended, if it did.
    fn happened(&mut self, happenings: Vec<Happening>, due: &mut Due) -> Option<String> {
        let mut end = None;
        for happening in happenings {
            match happening {
                Happening::Connected { silence_ms_max } => {
                    self.stranger = None;
                    due.silence_max = Duration::from_millis(u64::from(silence_ms_max));
                    due.silent_at = Instant::now() + due.silence_max;
                    // Entering makes an older connection of the device leave: only after its CONNECT.
                    let (seat, lanes) = self.house.sessions.enter(self.device);
                    (self.seat, self.down) = (Some(seat), Some(lanes));
                    tracing::info!(device.id = %self.device, "Gateway {} connected", self.device);
                }
                Happening::Offer { slot, alarm, bytes } => {
                    let reply = Reply::session(slot, self.verdicts.clone());
                    // A full queue drops the reply, and a dropped reply says Busy in its turn.
                    let _ = self.house.ingress.offer(self.device, alarm, bytes, reply);
                }
                Happening::Listening(lanes) => {
                    if let Some(seat) = &self.seat {
                        seat.listening.fetch_or(bits(&lanes), Ordering::AcqRel);
                        self.house.ingress.listening(self.device);
                    }
                }
                Happening::Deaf(lanes) => {
                    if let Some(seat) = &self.seat {
                        seat.listening.fetch_and(!bits(&lanes), Ordering::AcqRel);
                    }
                }
                Happening::Refused(why) => {
                    self.house.ingress.turned_away(why);
                    if end.is_none() && why.is_misaddressed() && !self.refusals.take(self.house.now_ms()) {
                        let [_, close] = self.session.turn_away(LinkRefusal::RefusalRate);
                        self.house.ingress.turned_away(LinkRefusal::RefusalRate);
                        end = closing(close);
                    }
                }
                Happening::Close(why) => end = end.or(Some(why)),
            }
        }
        end
    }

    /// One delivery, and what else is waiting up to a bound.
    fn deliver(&mut self, lane: Lane, bytes: Vec<u8>) {
        let mut sent = bytes.len();
        if !self.session.deliver(lane, bytes) {
            tracing::debug!(device.id = %self.device, "A delivery does not fit what the device takes");
        }
        let Some(down) = &mut self.down else { return };
        while sent < OUTPUT_BYTES_MAX
            && let Ok(bytes) = down.receipts.try_recv()
        {
            sent += bytes.len();
            self.session.deliver(Lane::Receipt, bytes);
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        let out = self.session.take_output();
        if out.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await
        };
        timeout(self.house.bounds.write_timeout, write)
            .await
            .map_err(|_| {
                self.house.ingress.turned_away(LinkRefusal::Stalled);
                LinkRefusal::Stalled.to_string()
            })?
            .map_err(|error| error.to_string())
    }
}

fn bits(lanes: &[Lane]) -> u8 {
    lanes.iter().fold(0, |bits, lane| bits | bit(*lane))
}

fn closing(happening: Happening) -> Option<String> {
    match happening {
        Happening::Close(why) => Some(why),
        _ => None,
    }
}
