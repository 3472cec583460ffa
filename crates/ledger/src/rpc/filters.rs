//! Filters that are polled. Each belongs to the caller that created it and is removed when it is not polled.

use super::budget;
use super::errors::RpcRefusal;
use super::logs::{Span, Wanted};
use super::params::{BlockSelector, Params, Wrong, quantity};
use super::{Backend, Caller, Session, logs, render};
use parking_lot::MutexGuard;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vitals::proof::header::digest;

/// Most filters of all callers.
pub const FILTERS_MAX: usize = 1024;
/// Most filters of one caller.
pub const FILTERS_PER_CALLER_MAX: usize = 64;
/// Most blocks of one answer to a poll; the next poll goes on.
pub const FILTER_BLOCKS_MAX: u64 = 10_000;
/// A filter that is not polled for so long is dropped, milliseconds.
pub const FILTER_IDLE_MS_MAX: u64 = 5 * 60_000;

#[derive(Debug, Clone)]
enum Kind {
    Blocks,
    Logs(Wanted, Span),
}

#[derive(Debug, Clone)]
struct Filter {
    owner: Caller,
    kind: Kind,
    /// The first height not reported yet.
    next: u64,
    polled_ms: u64,
}

/// The filters there are.
#[derive(Debug, Default)]
pub(super) struct Filters {
    by_id: BTreeMap<u64, Filter>,
    newest_id: u64,
}

impl Filters {
    fn forget_idle(&mut self, now_ms: u64) {
        self.by_id.retain(|_, filter| now_ms.saturating_sub(filter.polled_ms) <= FILTER_IDLE_MS_MAX);
    }

    fn add(&mut self, filter: Filter) -> Result<u64, RpcRefusal> {
        self.forget_idle(filter.polled_ms);
        let own = self.by_id.values().filter(|other| other.owner == filter.owner).count();
        if own >= FILTERS_PER_CALLER_MAX || self.by_id.len() >= FILTERS_MAX {
            return Err(RpcRefusal::limit(
                "there are too many filters: uninstall those that are not polled any more, or wait",
            ));
        }
        // Begins at the time, so that an id from before a restart names no new filter.
        self.newest_id = self.newest_id.max(filter.polled_ms.saturating_mul(1024)) + 1;
        self.by_id.insert(self.newest_id, filter);
        Ok(self.newest_id)
    }
}

impl Backend {
    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock()
    }
}

impl Session<'_> {
    fn add_filter(&mut self, kind: Kind) -> Result<Value, RpcRefusal> {
        let next = self.backend.machine.tip().height + 1;
        let filter = Filter { owner: self.caller, kind, next, polled_ms: self.now_ms };
        self.backend.filters().add(filter).map(render::quantity)
    }

    pub(super) fn new_filter(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (wanted, span) = params.most(1)?.get(0, "filter", |value| match logs::read(value)? {
            (_, Span::Block(_)) => Err(Wrong("names one block, which will not change".into())),
            other => Ok(other),
        })?;
        self.add_filter(Kind::Logs(wanted, span))
    }

    pub(super) fn new_block_filter(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        params.most(0)?;
        self.add_filter(Kind::Blocks)
    }

    /// A filter of the caller's, which is polled by this.
    fn filter(&mut self, params: &Params<'_>) -> Result<(u64, Filter), RpcRefusal> {
        let id = params.get(0, "filter id", quantity)?;
        let mut filters = self.backend.filters();
        filters.forget_idle(self.now_ms);
        let own = filters.by_id.get_mut(&id).filter(|filter| filter.owner == self.caller);
        let filter = own.ok_or_else(|| RpcRefusal::impossible("filter not found"))?;
        filter.polled_ms = self.now_ms;
        Ok((id, filter.clone()))
    }

    pub(super) fn filter_changes(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (id, filter) = self.filter(&params.most(1)?)?;
        let mut last = self.backend.machine.tip().height;
        if let Kind::Logs(_, Span::Range(_, BlockSelector::Height(to))) = filter.kind {
            last = last.min(to);
        }
        if matches!(filter.kind, Kind::Blocks) {
            last = last.min(filter.next.saturating_add(FILTER_BLOCKS_MAX - 1));
        }
        if last < filter.next {
            return Ok(json!([]));
        }
        let heights = filter.next..=last;
        let (changes, next) = match &filter.kind {
            Kind::Blocks => {
                let count = last - filter.next + 1;
                self.work.spend(budget::HEIGHT * count)?;
                self.work.bytes(70 * usize::try_from(count).unwrap_or(usize::MAX))?;
                let headers = self.backend.machine.headers(heights)?;
                (headers.iter().map(|header| render::bytes(&digest(header))).collect(), last + 1)
            }
            Kind::Logs(wanted, _) => self.backend.scan(heights, wanted, true, &mut self.work)?,
        };
        if let Some(filter) = self.backend.filters().by_id.get_mut(&id) {
            filter.next = filter.next.max(next);
        }
        Ok(Value::Array(changes))
    }

    pub(super) fn filter_logs(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let (_, filter) = self.filter(&params.most(1)?)?;
        let Kind::Logs(wanted, span) = filter.kind else {
            return Err(RpcRefusal::impossible("filter not found: this one tells of blocks, not of events"));
        };
        let Some(heights) = self.backend.heights(span)? else { return Ok(json!([])) };
        Ok(Value::Array(self.backend.scan(heights, &wanted, false, &mut self.work)?.0))
    }

    pub(super) fn uninstall_filter(&mut self, params: Params<'_>) -> Result<Value, RpcRefusal> {
        let id = params.most(1)?.get(0, "filter id", quantity)?;
        let mut filters = self.backend.filters();
        let own = filters.by_id.get(&id).is_some_and(|filter| filter.owner == self.caller);
        if own {
            filters.by_id.remove(&id);
        }
        Ok(json!(own))
    }
}
