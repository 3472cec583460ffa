//! The demo's live stream.

use super::*;

pub(super) struct Flow {
    pub(super) demo: Demo,
    pub(super) session: Session,
    pub(super) only: Option<usize>,
    pub(super) next_ms: u64,
    pub(super) ready: VecDeque<LiveEvent>,
    pub(super) rings: Option<bool>,
}

impl Flow {
    fn check(&self) -> Result<(), Denied> {
        let memory = self.demo.memory();
        if !memory.sessions.values().any(|session| *session == self.session) {
            return Err(Denied::SignedOut);
        }
        if memory.revoked && self.session.role == Role::Clinician { Err(Denied::Withdrawn) } else { Ok(()) }
    }

    fn refill(&mut self, now_ms: u64) {
        let rings = self.demo.raised(now_ms).is_some();
        if self.rings.replace(rings).is_some_and(|before| before != rings)
            && self.only.is_none_or(|only| only == 0)
        {
            match self.demo.alarms(0, now_ms).first() {
                Some(alarm) => self.ready.push_back(LiveEvent::Alarm(alarm.clone())),
                None => self.ready.push_back(LiveEvent::Changed { patient: patient(0) }),
            }
        }
        if now_ms < self.next_ms {
            return;
        }
        self.next_ms = now_ms / 1000 * 1000 + 1000;
        for number in (0..BEDS.len()).filter(|number| self.only.is_none_or(|only| only == *number)) {
            if matches!(BEDS[number].1, Mood::Stale | Mood::Waiting) {
                continue;
            }
            let at_ms = now_ms / 1000 * 1000;
            let readings = Demo::metrics()
                .map(|metric| Reading { metric, at_ms, sample: self.demo.value(number, metric, at_ms) })
                .collect();
            let envelope = self.demo.envelope(at_ms, at_ms);
            self.ready.push_back(LiveEvent::Readings {
                patient: patient(number),
                readings,
                offset_ms: 0,
                envelope,
                sealed_at_ms: at_ms,
                live_at_ms: now_ms,
            });
        }
        let health = self.demo.health(now_ms);
        self.ready.push_back(LiveEvent::Proof {
            anchored_size: health.anchored_size,
            final_size: health.final_size,
            height: health.height,
        });
    }
}

impl Following for Flow {
    fn wait(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(50)))
    }

    fn take(&mut self, now_ms: u64) -> Result<Vec<Arc<LiveEvent>>, Denied> {
        self.check()?;
        self.refill(now_ms);
        Ok(self.ready.drain(..).map(Arc::new).collect())
    }

    fn wall(&self, now_ms: u64) -> Wall {
        self.demo.wall_of(now_ms)
    }

    fn tile(&self, wanted: PatientId, now_ms: u64) -> Result<Tile, Denied> {
        let number =
            (0..BEDS.len()).find(|number| patient(*number) == wanted).ok_or(Denied::NoSuchPatient)?;
        Ok(self.demo.tile_of(number, now_ms))
    }
}
