//! Certificate and key of the pages: read at the start, and again when their files change. A renewal needs no restart.
//!
//! Dates are judged differently at the start and later. A node that does not start admits nothing and alarms nobody,
//! so a certificate that has ended, or that a wrong clock calls too early, is served all the same, with an error in the
//! log and a figure for the alert. Later such a certificate is refused like any other of no use: the one in force stays.

use crate::config::WebTlsConfig;
use anyhow::{Context, Result};
use host::clock;
use link::certificate_validity::{Validity, validity};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use vitals::ids::sha256;
use web::certificate::REMIND_DAYS;
use web::format::capital;
use web::process_gauges::Gauge;
use web::tls::{Identity, Tls};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// What others than the key's owner and its group may not do, and its group may not either: write.
const MODE_FORBIDDEN: u32 = 0o027;

/// The certificate in force, and its files.
pub(super) struct WebCertificate {
    files: WebTlsConfig,
    tls: Tls,
    /// Digest of what the files held when it was taken.
    in_force: [u8; 32],
    /// Digest of what they held at the last look, if it was of no use, and whether that was said. The two files
    /// are not replaced at one instant, so a pair that does not match is looked at twice.
    rejected: Option<([u8; 32], bool)>,
    /// Days that were left when the log last said so.
    reminded: Option<i64>,
}

impl WebCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They are not there, cannot be read, do not belong together, or the key can be read by others.
    pub(super) fn open(files: WebTlsConfig, now_ms: u64) -> Result<Self> {
        let (held, pem) = read(&files);
        let (identity, validity) = pem.and_then(|pem| identity(&pem)).context("web_tls")?;
        if let Err(why) = check_dates(validity, now_ms) {
            tracing::error!(
                "The certificate of the pages is not valid now, and is served all the same: {why:#}"
            );
        }
        Ok(Self {
            files,
            tls: Tls::new(&identity, validity.ends_s),
            in_force: held,
            rejected: None,
            reminded: None,
        })
    }

    /// TLS under the certificate in force.
    pub(super) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Figures for the metrics.
    #[allow(clippy::cast_precision_loss, reason = "seconds are exact enough")]
    pub(super) fn gauges(&self) -> Vec<Gauge> {
        let (ends, refused) = (self.tls.clone(), self.tls.clone());
        vec![
            Gauge {
                name: "aceso_web_certificate_expiry_timestamp_seconds",
                help: "When the certificate of the pages ends.",
                read: Arc::new(move || Some(ends.certificate().ends_s as f64)),
            },
            Gauge {
                name: "aceso_web_certificate_refused",
                help: "1 while the files of the pages' certificate hold one of no use, and an earlier one is in force.",
                read: Arc::new(move || Some(f64::from(u8::from(refused.certificate().renewal_refused)))),
            },
        ]
    }

    /// Looks at the files again and again, until `stop`.
    pub(super) async fn follow(mut self, mut stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = link::stopped(&mut stop) => return,
            }
            // A disk may keep its reader waiting.
            let looked = tokio::task::spawn_blocking(move || {
                self.look(clock::now_ms());
                self
            });
            match looked.await {
                Ok(back) => self = back,
                Err(why) => {
                    tracing::error!(%why, "The certificate's files are not looked at any more; start the node again");
                    return;
                }
            }
        }
    }

    /// Looks at the files once.
    fn look(&mut self, now_ms: u64) {
        self.read_again(now_ms);
        let held = self.tls.certificate();
        let days = held.days_left(now_ms);
        if days < REMIND_DAYS && self.reminded != Some(days) {
            self.reminded = Some(days);
            let complaint = capital(&held.complaint(now_ms).unwrap_or_default());
            tracing::warn!(days, "{complaint}");
        }
    }

    fn read_again(&mut self, now_ms: u64) {
        let (held, pem) = read(&self.files);
        if held == self.in_force {
            if self.rejected.take().is_some_and(|(_, said)| said) {
                tracing::info!("The files hold the certificate in force again");
            }
            self.tls.set_renewal_refused(false);
            return;
        }
        let said = match self.rejected {
            Some((rejected, said)) if rejected == held => Some(said),
            _ => None,
        };
        // Judged at each look: one that begins later is taken once it has begun.
        let taken = pem.and_then(|pem| identity(&pem)).and_then(|(identity, validity)| {
            check_dates(validity, now_ms)?;
            Ok((identity, validity))
        });
        match taken {
            Ok((identity, validity)) => {
                self.tls.replace(&identity, validity.ends_s);
                (self.in_force, self.rejected) = (held, None);
                let days = self.tls.certificate().days_left(now_ms);
                tracing::info!(days, "The pages have a new certificate, which ends in {days} days");
            }
            Err(_) if said == Some(true) => {}
            Err(why) if said.is_some() => {
                self.tls.set_renewal_refused(true);
                self.rejected = Some((held, true));
                tracing::warn!(
                    "The new certificate of the pages is of no use, the one in force stays: {why:#}"
                );
            }
            Err(_) => self.rejected = Some((held, false)),
        }
    }
}

struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What the files hold, and a digest that changes with it; also of what cannot be read.
fn read(files: &WebTlsConfig) -> ([u8; 32], Result<Pem>) {
    let pem = read_file(&files.certificate, 0).context("certificate").and_then(|certificate| {
        let key = read_file(&files.key, MODE_FORBIDDEN).context("key")?;
        Ok(Pem { certificate, key })
    });
    let digest = match &pem {
        Ok(Pem { certificate, key }) => sha256(&[&sha256(&[certificate]), key]),
        Err(why) => sha256(&[format!("{why:#}").as_bytes()]),
    };
    (digest, pem)
}

fn read_file(path: &Path, forbidden: u32) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("looking at {}", path.display()))?;
    anyhow::ensure!(metadata.is_file(), "{} is not a file", path.display());
    anyhow::ensure!(
        metadata.len() <= FILE_BYTES_MAX,
        "{} has more than {FILE_BYTES_MAX} bytes: it is another file",
        path.display()
    );
    let mode = metadata.mode() & 0o777;
    anyhow::ensure!(
        mode & forbidden == 0,
        "{} has the mode {mode:04o}, so others can read or change it: chmod 600 it (640 for a group that may read it)",
        path.display()
    );
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes)
}

fn identity(pem: &Pem) -> Result<(Identity, Validity)> {
    let identity = Identity::from_pem(&pem.certificate, &pem.key)?;
    let validity = validity(identity.certificate()).context("the certificate's dates cannot be read")?;
    Ok((identity, validity))
}

fn seconds(now_ms: u64) -> i64 {
    i64::try_from(now_ms / 1000).unwrap_or(i64::MAX)
}

fn check_dates(validity: Validity, now_ms: u64) -> Result<()> {
    let now_s = seconds(now_ms);
    anyhow::ensure!(
        now_s <= validity.ends_s,
        "it ended {} days ago: renew it",
        now_s.saturating_sub(validity.ends_s) / 86_400
    );
    anyhow::ensure!(
        now_s >= validity.begins_s,
        "it begins in {} hours: look at this machine's clock",
        validity.begins_s.saturating_sub(now_s).div_euclid(3600) + 1
    );
    Ok(())
}

#[cfg(test)]
mod tests;
