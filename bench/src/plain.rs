//! The same node without TLS, in this process: the node's own queue, admission loop and sessions over
//! loopback TCP. Only a bench can do this; a node listens with TLS alone.

use crate::bedside::Gateway;
use crate::clock;
use crate::generator::Line;
use crate::hospital::Ward;
use admission_queue::{Queue, QueueIngress, Wake, admit_until_closed};
use anyhow::Result;
use link::{Bounds, Endpoint, Registry, Sessions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use vitals::DeviceId;

struct AnyGateway;

impl Registry for AnyGateway {
    fn admits(&self, key: &[u8; 32]) -> Result<DeviceId, String> {
        Ok(DeviceId::of(key))
    }
}

/// Admission, maintenance and listener, running.
pub(crate) struct Plain {
    queue: Arc<Queue>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
    pub(crate) address: String,
}

impl Plain {
    pub(crate) fn start(runtime: &Runtime, ward: &Ward) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let sessions = Arc::new(Sessions::new());
        let (wake, woken, _) = Wake::new();
        let over = Arc::new(AtomicBool::new(false));
        let admission = {
            let (queue, clinic, sessions, wake) =
                (queue.clone(), ward.clinic.clone(), sessions.clone(), wake.clone());
            std::thread::Builder::new().name("admission".to_owned()).spawn(move || {
                if let Err(why) = admit_until_closed(&queue, &clinic, &sessions, &wake, clock::now_ms) {
                    tracing::error!(%why, "Admission halted");
                }
            })?
        };
        let maintenance = {
            let (clinic, over) = (ward.clinic.clone(), over.clone());
            std::thread::Builder::new().name("maintenance".to_owned()).spawn(move || {
                while !over.load(Ordering::Acquire) {
                    let _ = woken.recv_timeout(Duration::from_millis(200));
                    clinic.attend(clock::now_ms());
                }
            })?
        };
        let ingress = Arc::new(QueueIngress::new(queue.clone(), ward.clinic.clone(), wake));
        let endpoint = Endpoint::new(ingress, Arc::new(AnyGateway), sessions, Bounds::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let (stop, stopping) = tokio::sync::watch::channel(false);
        runtime.spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let (endpoint, stop) = (endpoint.clone(), stopping.clone());
                tokio::spawn(async move {
                    let mut key = [0; 32];
                    let _ = tcp.set_nodelay(true);
                    if tcp.read_exact(&mut key).await.is_ok() {
                        let _ = link::mqtt::serve_stream(tcp, key, endpoint, stop).await;
                    }
                });
            }
        });
        Ok(Self { queue, over, threads: vec![admission, maintenance], stop, address })
    }

    pub(crate) async fn connect(&self, gateways: &[Gateway]) -> Result<Vec<Line>> {
        let mut lines = Vec::with_capacity(gateways.len());
        for gateway in gateways {
            let key = gateway.identity.keys().key;
            lines.push(Line::plain(&self.address, &key, gateway.identity.id()).await?);
        }
        Ok(lines)
    }

    pub(crate) fn end(self) {
        let _ = self.stop.send(true);
        self.queue.close();
        self.over.store(true, Ordering::Release);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
