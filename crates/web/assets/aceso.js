// What moves on a page: times, ages and values. The server renders; this file writes new values into what
// is already there (textContent and attributes, never markup), holds the page's end of the one live
// connection (line.js), says within two seconds when it is lost, and closes a record left alone.
'use strict';
(() => {
  const { rules, Hub, moment } = globalThis.aceso;
  const STALE_MS = 15000; // as the clinic's own rule for "no data", unless sensors announced that they send less often
  const staleAfter = (node) => Number(node.closest('[data-stale-ms]')?.dataset.staleMs) || STALE_MS;
  const { dataset } = document.body;
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = (node, value) => { if (node && node.textContent !== value) node.textContent = value; };

  // --- time -------------------------------------------------------------------------------------
  // The server's clock decides ages; the viewer's zone decides how moments are written.
  let ahead = Number(dataset.nowMs) - Date.now();
  const now = () => Date.now() + ahead;
  const two = (n) => String(n).padStart(2, '0');
  const offset = (date) => {
    const minutes = -date.getTimezoneOffset();
    if (minutes === 0) return 'UTC';
    const rest = Math.abs(minutes) % 60;
    return `UTC${minutes < 0 ? '−' : '+'}${Math.floor(Math.abs(minutes) / 60)}${rest ? ':' + two(rest) : ''}`;
  };
  const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = (date) => date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
  const shown = {
    clock: (date) => clock(date),
    minute: (date) => `${two(date.getHours())}:${two(date.getMinutes())}`,
    date: (date) => day(date),
    full: (date) => `${day(date)}, ${clock(date)} ${offset(date)}`,
    // The day is said only where it is another one.
    near: (date) => (day(date) === day(new Date(now())) ? clock(date) : shown.full(date)),
  };
  const age = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 90) return `${s} s`;
    if (s < 5400) return `${Math.round(s / 60)} min`;
    if (s < 172800) return `${Math.round(s / 3600)} h`;
    return `${Math.floor(s / 86400)} days`;
  };
  const FORMS = { ago: (words) => `${words} ago`, paren: (words) => `(${words})` };
  const agedText = (node, ms) => { const write = FORMS[node.dataset.form]; text(node, write ? write(age(ms)) : age(ms)); };
  const localise = (root) => {
    for (const node of all('[data-ms][data-show]', root)) {
      const date = new Date(Number(node.dataset.ms));
      text(node, shown[node.dataset.show](date));
      node.title = `${day(date)}, ${clock(date)} ${offset(date)}`;
    }
    for (const node of all('[data-zone]', root)) text(node, offset(new Date()));
  };

  // A form with days is read on the server, which knows no zone: it is told how far the viewer's clock is ahead of
  // UTC now, when the first day begins, and when the last one is over.
  const zoneOf = (form) => {
    const start = (name, days) => {
      const [year, month, day] = (form.elements[name]?.value || '').split('-').map(Number);
      return year ? new Date(year, month - 1, day + days) : new Date(now());
    };
    const dates = [new Date(now()), start('from', 0), start('until', 1)];
    form.elements.offsets.value = dates.map((date) => -date.getTimezoneOffset() || 0).join(',');
  };
  for (const form of all('form[data-zoned]')) form.addEventListener('submit', () => zoneOf(form));

  // --- values -----------------------------------------------------------------------------------
  const written = (raw, node) => {
    const decimals = Number(node.dataset.decimals);
    const value = raw / Number(node.dataset.scale);
    return (Math.round(value * 10 ** decimals + Math.sign(value) * 1e-9) / 10 ** decimals).toFixed(decimals).replace('-', '−');
  };
  let sizes = { anchored: 0, final: 0 };
  const prove = (mark) => {
    const index = Number(mark.dataset.index);
    const steps = index < sizes.final ? 3 : index < sizes.anchored ? 2 : 1;
    if (Number(mark.dataset.steps) >= steps) return;
    point(mark, index, steps);
  };
  const point = (mark, index, steps) => {
    const word = ['', 'received', 'anchored', 'final'][steps];
    mark.dataset.index = index;
    mark.dataset.steps = steps;
    mark.title = `Proof: ${word}`;
    if (mark.href) mark.href = `/proof/${index}`;
    text(one('[data-proof-word]', mark), word);
  };
  const proveAll = () => all('.proof[data-index]').forEach(prove);

  const apply = (event) => {
    const holders = all(`[data-patient="${event.p}"]`).filter((node) => node.matches('.tile, #now'));
    const newest = Math.max(...event.r.map((reading) => reading[1]));
    const steps = event.index < sizes.final ? 3 : event.index < sizes.anchored ? 2 : event.steps;
    for (const holder of holders) {
      if (newest > Number(holder.dataset.lastMs || 0)) holder.dataset.lastMs = newest;
      for (const [metric, at, raw, why] of event.r) {
        const cell = one(`[data-metric="${metric}"]`, holder);
        if (!cell || at < Number(cell.dataset.atMs)) continue;
        cell.dataset.atMs = at;
        cell.classList.toggle('none', raw === null);
        text(one('[data-value]', cell), raw === null ? why ?? '–' : written(raw, cell));
        const aged = one('[data-age-ms]', cell);
        if (aged) aged.dataset.ageMs = at;
        const mark = one('.proof', cell);
        if (mark) point(mark, event.index, steps);
      }
      const foot = one('[data-age-holder] [data-age-ms]', holder);
      if (foot) foot.dataset.ageMs = holder.dataset.lastMs;
      const mark = one('footer .proof', holder);
      if (mark) point(mark, event.index, steps);
    }
    for (const head of all('[data-newest]')) head.dataset.ageMs = newest;
    const headMark = one('h1 + p .proof');
    if (headMark) point(headMark, event.index, steps);
  };

  // --- the connection ---------------------------------------------------------------------------
  const lost = one('#lost');
  const title = document.title.slice(dataset.alarmTitle ? dataset.alarmTitle.length + 3 : 0);
  let alarmTitle = dataset.alarmTitle;
  let state = { live: true, heldBack: false };
  let heard = moment(); // last message of the hub
  let alive = moment(); // last beat of the server
  let ended = false;
  let quiet = false;
  let topic = dataset.topic || '';
  let port = null;
  const hidden = () => document.visibilityState === 'hidden';
  // `lines` counts events of the server; `rings` is true while the hub lets this window ring.
  const page = { running: false, rings: false, lines: 0, lost: () => quiet, ended: () => ended, alive: () => alive.wall, now, moment };

  const ACTS = '.alarm .acts button, .limitform button';
  const watch = () => {
    quiet = Boolean(lost && !ended && (!state.live || rules.since(heard, moment()) > rules.QUIET_MS));
    if (lost && lost.hidden === quiet) {
      lost.hidden = !quiet;
      if (quiet) text(one('#lost-at'), clock(new Date(alive.wall)));
      text(one('[data-clock-word]'), quiet ? 'Not live, ' : 'Live, ');
      document.documentElement.classList.toggle('lost-line', quiet);
    }
    const held = one('#lost-held');
    if (held) held.hidden = !state.heldBack;
    const before = state.paused ? 'Paused' : quiet ? 'Connection lost' : ended ? 'Closed' : alarmTitle;
    const wanted = before ? `${before} – ${title}` : title;
    if (document.title !== wanted) document.title = wanted;
    for (const button of all(ACTS)) {
      if (quiet) { button.setAttribute('aria-disabled', 'true'); button.setAttribute('aria-describedby', 'lost-acts'); }
      else if (button.hasAttribute('aria-describedby')) { button.removeAttribute('aria-disabled'); button.removeAttribute('aria-describedby'); }
    }
    for (const node of all('[data-age-ms]')) {
      const at = Number(node.dataset.ageMs);
      if (at) agedText(node, now() - at);
    }
    for (const holder of all('[data-last-ms]')) {
      const old = quiet || now() - Number(holder.dataset.lastMs) > staleAfter(holder);
      if (holder.matches('.tile')) holder.classList.toggle('stale', old);
    }
    for (const cell of all('#now .v, .tile .v')) {
      const at = Number(cell.dataset.atMs);
      cell.classList.toggle('stale', Boolean(at) && (quiet || now() - at > staleAfter(cell)));
    }
    const face = one('[data-clock]');
    if (face) text(face, clock(new Date(now())));
  };

  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`aceso:${name}`, { detail }));
  const on = {
    beat: (beat) => {
      alive = moment();
      ahead = beat.now - Date.now();
      const fault = one('#clock-fault');
      if (fault) {
        if (beat.clock) text(one('[data-words]', fault), beat.clock);
        fault.hidden = !beat.clock;
      }
      const halt = one('#halt');
      if (!halt) return;
      one('[data-age-ms]', halt).dataset.ageMs = beat.tip;
      halt.hidden = !beat.stale;
    },
    values: apply,
    proof: (proof) => { sizes = proof; proveAll(); },
    alarm: (alarm) => { if (alarm.shout) text(one('#shout'), alarm.shout); },
    strip: (strip) => { alarmTitle = strip.title; },
    closed: (end) => { if (end.t === topic) cover('#alone', '#alone-why', end.why); },
    ended: (end) => {
      ended = true;
      cover('#ended', '#ended-why', end.why);
      // The wall's heading says now that it is closed, and stays.
      all('#ward h1').forEach((node) => one('#ward').before(node));
      all('#strip, #ward').forEach((node) => node.remove());
      if (lost) lost.hidden = true;
    },
  };
  // What may not be seen any longer leaves the screen.
  const cover = (banner, why, words) => {
    topic = '';
    say({ topic });
    text(one(why), words);
    one(banner).hidden = false;
    all('#now, .pt, .two, main h1 + p').forEach((node) => node.remove());
    all('main h1').forEach((node) => { node.textContent = 'Closed'; });
    if (!ended) document.title = title;
    tell('covered');
  };

  const say = (words) => { if (port) port.postMessage(words); };
  const hello = () => say({ hello: { address: dataset.live, topic, rendered: Number(dataset.nowMs) } });
  let since = null; // out of sight
  const here = () => {
    if (!hidden()) since = null;
    else if (!since) since = moment();
    say({ here: { running: page.running, hiddenMs: since ? Math.max(1, rules.since(since, moment())) : 0 } });
  };
  page.here = here;
  const listen = (fresh) => {
    port = fresh;
    port.onmessage = ({ data }) => {
      heard = moment();
      if (data.tick) {
        state = data.tick;
        page.rings = data.tick.you;
        here();
        if (state.crowded && topic) cover('#alone', '#alone-why', 'More records are open in this browser than it can follow: close some.');
        watch();
        tell('tick', data.tick);
        return;
      }
      if (ended) return;
      page.lines += 1;
      if (on[data.name]) on[data.name](data.detail);
      watch();
      tell(data.name, data.detail);
    };
    hello();
    here();
  };
  let alone = null; // this page's own hub, where browsers know no shared workers
  const connect = () => {
    const lone = () => {
      if (alone) return;
      alone = new Hub((address) => new EventSource(address), true);
      const { port1, port2 } = new MessageChannel();
      alone.add(port2);
      setInterval(() => alone.tick(), 500);
      listen(port1);
    };
    if (!('SharedWorker' in window)) { lone(); return; }
    try {
      const worker = new SharedWorker(dataset.worker, { name: `aceso-${dataset.mark}` });
      worker.addEventListener('error', lone);
      listen(worker.port);
    } catch { lone(); }
  };
  // The hub drops a page that was frozen, and a worker may have ended: register again.
  let again = moment();
  const revive = () => {
    if (!port || ended || rules.since(heard, moment()) < rules.QUIET_MS || rules.since(again, moment()) < 1000) return;
    again = moment();
    if (!alone && rules.since(heard, moment()) > 3 * rules.REOPEN_MS) connect();
    else hello();
  };

  // --- actions need a connection -------------------------------------------------------------------
  const undone = (words) => { text(one('#undone-why'), words); one('#undone').hidden = false; };
  document.addEventListener('submit', (event) => {
    if (!quiet || !event.target.matches('.alarm .acts form, .limitform')) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    undone('There is no connection: nothing was sent.');
  }, true);
  for (const name of ['htmx:sendError', 'htmx:timeout']) document.addEventListener(name, () => undone('The request did not reach the server.'));
  document.addEventListener('htmx:responseError', (event) => {
    if (event.detail.xhr.status === 401) window.location.reload();
    else undone('The server did not carry it out.');
  });
  document.addEventListener('htmx:afterRequest', (event) => { if (event.detail.successful && one('#undone')) one('#undone').hidden = true; });

  // --- a record left alone ----------------------------------------------------------------------
  let touched = moment();
  let stayed = moment();
  let owed = false;
  const stay = () => {
    stayed = moment();
    owed = false;
    const holder = one('#now');
    if (!holder || !dataset.csrf) return;
    const body = new URLSearchParams({ csrf: dataset.csrf });
    // If it does not arrive, the server closes the record earlier than promised: the page says so then.
    fetch(`/patients/${holder.dataset.patient}/stay`, { method: 'POST', body, headers: { 'hx-request': 'true' } }).catch(() => { owed = true; });
  };
  const touch = () => { touched = moment(); owed = true; };
  if (topic && topic !== 'wall') {
    for (const name of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'scroll']) addEventListener(name, touch, { passive: true, capture: true });
  }
  const leave = () => {
    if (!topic || topic === 'wall' || ended) return;
    if (rules.since(touched, moment()) >= rules.IDLE_MS) cover('#alone', '#alone-why', 'Nobody has used this page for 15 minutes.');
    else if (owed && rules.since(stayed, moment()) >= rules.STAY_MS) stay();
  };

  // --- start ------------------------------------------------------------------------------------
  const settle = (root) => { localise(root); proveAll(); watch(); };
  Object.assign(globalThis.aceso, { page, settle });
  // After settling: until then a new element has the attributes of the one that htmx replaced.
  document.addEventListener('htmx:afterSettle', (event) => {
    settle(document);
    tell('drawn', event.detail && event.detail.elt);
  });
  const retry = one('#retry');
  if (retry) retry.addEventListener('click', () => { connect(); });
  settle(document);
  if (dataset.live) connect();
  document.addEventListener('visibilitychange', () => { here(); watch(); });
  setInterval(() => { revive(); leave(); watch(); }, 500);
  tell('drawn', document);
  addEventListener('pagehide', () => say({ bye: true }));
  // A page from the back/forward cache shows old values: it is loaded again.
  addEventListener('pageshow', (event) => { if (event.persisted) { for (const node of all('#now, #ward, #strip, .pt, .two')) node.hidden = true; window.location.reload(); } });
})();
