//! The operating system's runtime with a clock that nobody sets.
//!
//! Commonware keeps every deadline (timeouts of views, retries, quotas, dials) as a time of its runtime's clock,
//! which is the machine's wall clock. Set back by a minute, that clock keeps every deadline a minute away; set
//! forward and back, it leaves deadlines an hour ahead. Here the runtime's clock begins at the wall clock and
//! then only counts elapsed time. The time of blocks comes from a [`crate::NodeClock`].

use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, ListenerOf, Metrics, Name, Network, Resolver, SinkOf, Spawner,
    Storage, StreamOf, Supervisor, signal::Signal, telemetry::metrics, tokio::Context,
};
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// Where the clock began.
#[derive(Debug, Clone, Copy)]
struct Origin {
    wall: SystemTime,
    at: Instant,
}

/// The operating system's runtime with a monotonic clock.
pub struct MonotonicContext {
    inner: Context,
    origin: Origin,
}

impl MonotonicContext {
    /// The clock begins now, at the machine's wall clock.
    #[must_use]
    pub fn new(inner: Context) -> Self {
        let origin = Origin { wall: inner.current(), at: Instant::now() };
        Self { inner, origin }
    }

    /// As if the machine's clock had been ahead by this much when it began.
    #[cfg(test)]
    pub(crate) fn ahead_by(inner: Context, by: Duration) -> Self {
        let wall = inner.current() + by;
        Self { inner, origin: Origin { wall, at: Instant::now() } }
    }

    fn with(&self, inner: Context) -> Self {
        Self { inner, origin: self.origin }
    }

    /// What the machine's clock shows, milliseconds since 1970.
    pub(crate) fn machine_ms(&self) -> u64 {
        millis(self.inner.current().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Milliseconds since the clock began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        millis(self.origin.at.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for MonotonicContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonotonicContext").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Supervisor for MonotonicContext {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.with(self.inner.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl fmt::Display) -> Self {
        Self { inner: self.inner.with_attribute(key, value), origin: self.origin }
    }
}

impl Spawner for MonotonicContext {
    fn shared(self, blocking: bool) -> Self {
        Self { inner: self.inner.shared(blocking), origin: self.origin }
    }

    fn dedicated(self) -> Self {
        Self { inner: self.inner.dedicated(), origin: self.origin }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let origin = self.origin;
        self.inner.spawn(move |inner| f(Self { inner, origin }))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.inner.stop(value, timeout).await
    }

    fn stopped(&self) -> Signal {
        self.inner.stopped()
    }
}

impl Clock for MonotonicContext {
    fn current(&self) -> SystemTime {
        self.origin.wall + self.origin.at.elapsed()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        tokio::time::sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        tokio::time::sleep(deadline.duration_since(self.current()).unwrap_or_default())
    }
}

impl GovernorClock for MonotonicContext {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl ReasonablyRealtime for MonotonicContext {}

impl Metrics for MonotonicContext {
    fn register<N: Into<String>, H: Into<String>, M: metrics::Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> metrics::Registered<M> {
        self.inner.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.inner.encode()
    }
}

impl Network for MonotonicContext {
    type Listener = ListenerOf<Context>;

    async fn bind(&self, socket: SocketAddr) -> Result<Self::Listener, Error> {
        self.inner.bind(socket).await
    }

    async fn dial(&self, socket: SocketAddr) -> Result<(SinkOf<Self>, StreamOf<Self>), Error> {
        self.inner.dial(socket).await
    }
}

impl Resolver for MonotonicContext {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        self.inner.resolve(host).await
    }
}

impl TryRng for MonotonicContext {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(dest)
    }
}

impl TryCryptoRng for MonotonicContext {}

impl Storage for MonotonicContext {
    type Blob = <Context as Storage>::Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Self::Blob, u64, BlobVersion), Error> {
        self.inner.open_versioned(partition, name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.inner.remove(partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.inner.scan(partition).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, tokio as runtime};

    #[test]
    fn deadlines_are_kept_by_elapsed_time_whatever_the_machine_s_clock_shows() {
        const DAY_MS: u64 = 86_400_000;
        let folder = tempfile::tempdir().unwrap();
        let config = runtime::Config::new().with_worker_threads(1).with_storage_directory(folder.path());
        runtime::Runner::new(config).start(|context| async move {
            // As if the machine's clock had been set back by a day since.
            let clock = MonotonicContext::ahead_by(context, Duration::from_millis(DAY_MS));
            let ahead_ms = |clock: &MonotonicContext| {
                millis(clock.current().duration_since(UNIX_EPOCH).unwrap_or_default())
                    .saturating_sub(clock.machine_ms())
            };
            let near = DAY_MS - 10_000..DAY_MS + 10_000;
            assert!(near.contains(&ahead_ms(&clock)), "it does not follow: {}", ahead_ms(&clock));
            assert!(near.contains(&ahead_ms(&clock.child("child"))), "nor do those made from it");
            let own = clock.child("task").spawn(|clock| async move { clock.current() }).await;
            assert!(
                own.is_ok_and(|at| at <= clock.current() && at + Duration::from_secs(10) > clock.current())
            );
            let began_ms = clock.elapsed_ms();
            clock.sleep_until(clock.current() + Duration::from_millis(20)).await;
            let waited_ms = clock.elapsed_ms() - began_ms;
            assert!(
                (20..10_000).contains(&waited_ms),
                "a deadline is as far away as it was set: {waited_ms} ms"
            );
        });
    }
}
