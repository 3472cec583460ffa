// Decisions of the pages' scripts that need no page: pages and the worker load this file, node tests it
// (tests-browser/rules.test.mjs). Moments are { mono, wall }: milliseconds of a clock that never goes back but
// may stand still while a computer sleeps, and of one that goes on but may be set.
'use strict';
(() => {
  const QUIET_MS = 1500; // three beats; checked twice a second, so that silence is shown within two seconds
  const REOPEN_MS = 4000; // a connection without any event for this long is opened again
  const UNHEARD_MS = 3000; // a window that does not answer for this long does not ring
  const HIDDEN_MS = 60000; // a window hidden for this long leaves ringing to a visible one
  const HOLD_MS = 10000; // the strip keeps its order for this long after the pointer last moved in it
  const IDLE_MS = 15 * 60000; // as the clinic's own rule
  const STAY_MS = 60000; // shortest time between two messages to the server that somebody is there
  const ORDER = ['high', 'medium', 'low', 'tech'];
  // Modelled on IEC 60601-1-8: bursts of ten, three and one pulses.
  const PATTERNS = {
    high: { pulses: [0, 0.2, 0.4, 0.75, 0.95, 1.5, 1.7, 1.9, 2.25, 2.45], tone: 880, every: 5000 },
    medium: { pulses: [0, 0.3, 0.6], tone: 660, every: 12000 },
    low: { pulses: [0], tone: 523, every: 25000 },
    tech: { pulses: [0], tone: 392, every: 25000 },
  };

  // The longer time by either clock: neither sleep nor a clock that was set hides a silence.
  const since = (then, now) => Math.max(0, now.mono - then.mono, now.wall - then.wall);

  // The order of the strip. While somebody points at it nothing moves: what is over keeps its place, and
  // what is new comes last.
  const arrange = (shown, incoming, held) => {
    if (!held) return incoming.map((key) => ({ key, gone: false }));
    const kept = shown.map((key) => ({ key, gone: !incoming.includes(key) }));
    return [...kept, ...incoming.filter((key) => !shown.includes(key)).map((key) => ({ key, gone: false }))];
  };
  // Does an alarm belong in the strip of a page that shows the alarms of `mine` (null: of nobody) elsewhere?
  // A gateway's alarm has no patient, and belongs everywhere.
  const elsewhere = (patient, mine) => mine === null || patient !== mine;
  const held = (inside, movedMsAgo) => inside && movedMsAgo < HOLD_MS;

  // The priority to ring for, or null. A lost connection is an alarm of the equipment.
  const worst = (alarms, serverNow, lost) => {
    const rings = alarms.filter((alarm) => alarm.active && serverNow >= alarm.silencedMs).map((alarm) => alarm.priority);
    if (lost) rings.push('tech');
    return ORDER.find((priority) => rings.includes(priority)) || null;
  };
  // Is a burst due? At once for what is worse than the one before.
  const due = (priority, last, msAgo) => {
    if (!priority) return false;
    if (!last || ORDER.indexOf(priority) < ORDER.indexOf(last)) return true;
    return msAgo >= PATTERNS[priority].every;
  };

  // Which window rings: one at most. `windows` are { id, running, unheardMs, hiddenMs } in the order of opening.
  // The one that rings goes on, unless it can't, does not answer, or has been hidden for long while another is
  // visible.
  const ringer = (windows, current) => {
    const able = windows.filter((one) => one.running && one.unheardMs < UNHEARD_MS);
    const seen = able.find((one) => one.hiddenMs === 0);
    const now = able.find((one) => one.id === current);
    if (now && (now.hiddenMs < HIDDEN_MS || !seen)) return now.id;
    const next = seen || able[0];
    return next ? next.id : null;
  };

  // A curve's columns with a hole (null) wherever nothing was measured: `rows` are { at, min, mean, max,
  // broken }, broken if there was a "no value" since the row before.
  const columns = (rows, gapMs, scale) => {
    const xs = [], lows = [], means = [], highs = [];
    let before = null;
    for (const row of rows) {
      if (before !== null && (row.broken || row.at - before > gapMs)) {
        xs.push((before + 1) / 1000); lows.push(null); means.push(null); highs.push(null);
      }
      xs.push(row.at / 1000); lows.push(row.min / scale); means.push(row.mean / scale); highs.push(row.max / scale);
      before = row.at;
    }
    return [xs, highs, lows, means];
  };
  // Adds a sample to a curve's rows; null is "no value", and breaks the line before the next one.
  const add = (plot, frame, at, raw) => {
    if (raw === null) { plot.broken = true; return; }
    const start = at - ((at - frame.from) % frame.bucket);
    const last = plot.rows[plot.rows.length - 1];
    if (last && last.at === start) {
      last.min = Math.min(last.min, raw);
      last.max = Math.max(last.max, raw);
      last.count += 1;
      last.mean += (raw - last.mean) / last.count;
      plot.broken = false;
    } else if (!last || start > last.at) {
      plot.rows.push({ at: start, min: raw, mean: raw, max: raw, count: 1, broken: Boolean(plot.broken) });
      plot.broken = false;
    }
  };

  const aceso = globalThis.aceso || (globalThis.aceso = {});
  aceso.rules = { QUIET_MS, REOPEN_MS, UNHEARD_MS, HIDDEN_MS, HOLD_MS, IDLE_MS, STAY_MS, PATTERNS, since, arrange, elsewhere, held, worst, due, ringer, columns, add };
})();
