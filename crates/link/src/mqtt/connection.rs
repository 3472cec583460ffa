//! One device's connection after its handshake: bytes between a stream and a [`ServerSession`], and the
//! deadlines and quotas it has to keep.

use super::refusal::MqttRefusal;
use super::server_session::{ServerEvent, ServerSession};
use crate::endpoint::Endpoint;
use crate::ingress::{Reply, Verdict};
use crate::refusal::LinkRefusal;
use crate::sessions::{Control, DeviceSession, Downlink, Outgoing};
use crate::unauthenticated::{UnauthenticatedSlot, evicted};
use crate::{Stop, stopped};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use vitals::DeviceId;

const READ_BYTES: usize = 16 * 1024;
/// Output sent at once before the device is read again, bytes.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// By when the device has to have sent what.
struct Deadlines {
    silence_max: Duration,
    packet_timeout: Duration,
    /// The next packet, whole.
    silent_at: Instant,
    /// The end of the packet that has begun.
    packet_by: Option<Instant>,
    packets: u64,
    /// Not read before, because of its pace.
    resume_at: Option<Instant>,
    reading: bool,
}

impl Deadlines {
    fn new(connect_by: Instant, packet_timeout: Duration) -> Self {
        Self {
            silence_max: Duration::MAX,
            packet_timeout,
            silent_at: connect_by,
            packet_by: None,
            packets: 0,
            resume_at: None,
            reading: true,
        }
    }

    fn next(&self) -> Instant {
        let late = self.packet_by.map_or(self.silent_at, |by| by.min(self.silent_at));
        self.resume_at.unwrap_or(late)
    }

    /// Notes whether the device is read now. The time in which it was not does not count against it.
    fn set_reading(&mut self, reading: bool, connected: bool) {
        if reading && !self.reading {
            let now = Instant::now();
            if connected {
                self.silent_at = now + self.silence_max;
            }
            self.packet_by = self.packet_by.map(|_| now + self.packet_timeout);
        }
        self.reading = reading;
    }

    /// The session is open: silence is limited from now on.
    fn opened(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
        self.silent_at = Instant::now() + silence_max;
    }

    /// Bytes came.
    fn received(&mut self, session: &ServerSession, connected: bool) {
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

    fn missed(&self, connected: bool) -> MqttRefusal {
        match self.packet_by {
            _ if !connected => MqttRefusal::ConnectSlow,
            Some(by) if by <= self.silent_at => MqttRefusal::PacketSlow,
            _ => MqttRefusal::KeepAlive,
        }
    }
}

/// One device's connection.
pub(super) struct Connection<S> {
    stream: S,
    session: ServerSession,
    endpoint: Arc<Endpoint>,
    device: DeviceId,
    key: [u8; 32],
    /// Cloned into every reply; at most a window of them is on its way, so it needs no bound.
    replies: mpsc::UnboundedSender<(u64, Verdict)>,
    verdicts: mpsc::UnboundedReceiver<(u64, Verdict)>,
    /// Until its CONNECT.
    slot: Option<UnauthenticatedSlot>,
    /// From its CONNECT on.
    entered: Option<DeviceSession>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection with the holder of `key`, if the registry admits it.
    pub(super) fn open(
        stream: S,
        key: [u8; 32],
        endpoint: Arc<Endpoint>,
        slot: Option<UnauthenticatedSlot>,
    ) -> Result<Self, String> {
        let device = endpoint
            .authenticate(&key)
            .inspect_err(|_| endpoint.ingress().turned_away(LinkRefusal::KeyNotAdmitted))?;
        let session = if endpoint.may_open(device) {
            ServerSession::new(device)
        } else {
            ServerSession::refusing(device, LinkRefusal::ReconnectRate)
        };
        let (replies, verdicts) = mpsc::unbounded_channel();
        Ok(Self { stream, session, endpoint, device, key, replies, verdicts, slot, entered: None })
    }

    fn is_open(&self) -> bool {
        self.entered.is_some()
    }

    /// Runs until one side ends it, and says why.
    pub(super) async fn run(mut self, connect_by: Instant, mut stop: Stop) -> Result<(), String> {
        let bounds = *self.endpoint.bounds();
        let mut deadlines = Deadlines::new(connect_by, bounds.packet_timeout);
        let mut registry = interval(bounds.registry_every);
        registry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let reading = self.session.can_receive() && deadlines.resume_at.is_none();
            deadlines.set_reading(reading, self.is_open());
            let happened = tokio::select! {
                read = self.stream.read(&mut buffer), if reading => {
                    let read = read.map_err(|error| error.to_string())?;
                    if read == 0 {
                        return Ok(());
                    }
                    let happened = self.session.receive(&buffer[..read]);
                    self.charge(read, &mut deadlines);
                    deadlines.received(&self.session, self.is_open());
                    happened
                }
                Some((slot, verdict)) = self.verdicts.recv() => {
                    let mut happened = self.session.answer(slot, verdict);
                    while let Ok((slot, verdict)) = self.verdicts.try_recv() {
                        happened.extend(self.session.answer(slot, verdict));
                    }
                    happened
                }
                outgoing = next_outgoing(&mut self.entered) => match outgoing {
                    Outgoing::Control(Control::TakenOver) => vec![self.session.taken_over()],
                    Outgoing::Control(Control::Expel(sentence)) => self.expelled(&sentence),
                    Outgoing::Deliver(what, bytes) => {
                        self.deliver(what, bytes);
                        vec![]
                    }
                },
                _ = registry.tick() => match self.endpoint.authenticate(&self.key) {
                    Ok(_) => vec![],
                    Err(sentence) => self.expelled(&sentence),
                },
                // Not while a client is held back by not reading it: the silence would be ours.
                () = sleep_until(deadlines.next()), if reading || deadlines.resume_at.is_some() => {
                    match deadlines.resume_at.take() {
                        Some(_) => vec![],
                        None => self.session.turn_away(deadlines.missed(self.is_open())).into(),
                    }
                }
                () = evicted(&mut self.slot) => {
                    self.session.turn_away(LinkRefusal::UnauthenticatedEvicted).into()
                }
                () = stopped(&mut stop) => vec![self.session.shutting_down()],
            };
            let end = self.apply(happened, &mut deadlines);
            self.flush().await?;
            if let Some(why) = end {
                let _ = timeout(bounds.write_timeout, self.stream.shutdown()).await;
                return Err(why);
            }
        }
    }

    /// Charges what was read to the device's pace.
    fn charge(&mut self, read: usize, deadlines: &mut Deadlines) {
        let packets = usize::try_from(self.session.packets() - deadlines.packets).unwrap_or(usize::MAX);
        let wait = self.endpoint.charge(self.device, read, packets);
        if !wait.is_zero() {
            self.endpoint.ingress().turned_away(LinkRefusal::Paced);
            deadlines.resume_at = Some(Instant::now() + wait);
        }
    }

    fn expelled(&mut self, sentence: &str) -> Vec<ServerEvent> {
        vec![ServerEvent::Refused(LinkRefusal::KeyNotAdmitted.into()), self.session.expelled(sentence)]
    }

    /// Does what the session asks for; says why it ended, if it did.
    fn apply(&mut self, happened: Vec<ServerEvent>, deadlines: &mut Deadlines) -> Option<String> {
        let mut end = None;
        for event in happened {
            match event {
                ServerEvent::Connected { silence_ms_max } => {
                    self.slot = None;
                    deadlines.opened(Duration::from_millis(u64::from(silence_ms_max)));
                    // Entering makes an older session of the device end: only after its CONNECT.
                    self.entered = Some(self.endpoint.enter(self.device));
                    tracing::info!(device.id = %self.device, "Gateway {} connected", self.device);
                }
                ServerEvent::Offer { slot, alarm, bytes } => {
                    let reply = Reply::session(slot, self.replies.clone());
                    // A full queue drops the reply, and a dropped reply says Busy in its turn.
                    let _ = self.endpoint.ingress().offer(self.device, alarm, bytes, reply);
                }
                ServerEvent::Subscribed(what) => {
                    if let Some(entered) = &self.entered {
                        entered.listen(&what);
                        self.endpoint.ingress().listening(self.device);
                    }
                }
                ServerEvent::Unsubscribed(what) => {
                    if let Some(entered) = &self.entered {
                        entered.ignore(&what);
                    }
                }
                ServerEvent::Refused(why) => {
                    self.endpoint.ingress().turned_away(why.into());
                    if end.is_none() && why.is_misaddressed() && !self.endpoint.may_be_refused(self.device) {
                        end = self.refuse_too_many();
                    }
                }
                ServerEvent::Close(why) => end = end.or(Some(why)),
            }
        }
        end
    }

    fn refuse_too_many(&mut self) -> Option<String> {
        let [_, close] = self.session.turn_away(MqttRefusal::RefusalRate);
        self.endpoint.ingress().turned_away(MqttRefusal::RefusalRate.into());
        match close {
            ServerEvent::Close(why) => Some(why),
            _ => None,
        }
    }

    /// One delivery, and what else is waiting up to a bound.
    fn deliver(&mut self, what: Downlink, bytes: Vec<u8>) {
        let mut sent = bytes.len();
        if !self.session.deliver(what, bytes) {
            tracing::debug!(device.id = %self.device, "A delivery does not fit what the device takes");
        }
        let Some(entered) = &mut self.entered else { return };
        while sent < OUTPUT_BYTES_MAX
            && let Some(receipt) = entered.try_receipt()
        {
            sent += receipt.len();
            self.session.deliver(Downlink::Receipt, receipt);
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
        timeout(self.endpoint.bounds().write_timeout, write)
            .await
            .map_err(|_| {
                self.endpoint.ingress().turned_away(LinkRefusal::Stalled);
                LinkRefusal::Stalled.to_string()
            })?
            .map_err(|error| error.to_string())
    }
}

async fn next_outgoing(entered: &mut Option<DeviceSession>) -> Outgoing {
    match entered {
        Some(session) => session.next().await,
        None => std::future::pending().await,
    }
}
