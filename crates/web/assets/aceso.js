// What moves on a page. The server renders; this file only writes new values, ages and times into
// what is already there (textContent and attributes, never markup), asks for fragments through htmx,
// and says loudly when it has not heard from the server for a while.
'use strict';
(() => {
  const QUIET_MS = 11000; // two beats of five seconds, and one to spare
  const STALE_MS = 15000; // as the clinic's own rule for "no data"
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = (node, value) => { if (node && node.textContent !== value) node.textContent = value; };

  // --- time -------------------------------------------------------------------------------------
  // The server's clock decides ages; the viewer's zone decides how moments are written.
  let ahead = Number(document.body.dataset.nowMs) - Date.now();
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
  };
  const age = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 90) return `${s} s`;
    if (s < 5400) return `${Math.round(s / 60)} min`;
    if (s < 172800) return `${Math.round(s / 3600)} h`;
    return `${Math.floor(s / 86400)} days`;
  };
  const localise = (root) => {
    for (const node of all('[data-ms][data-show]', root)) {
      const date = new Date(Number(node.dataset.ms));
      text(node, shown[node.dataset.show](date));
      node.title = `${day(date)}, ${clock(date)} ${offset(date)}`;
    }
    for (const node of all('[data-zone]', root)) text(node, offset(new Date()));
  };

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
      for (const [metric, at, raw] of event.r) {
        const cell = one(`[data-metric="${metric}"]`, holder);
        if (!cell || at < Number(cell.dataset.atMs)) continue;
        cell.dataset.atMs = at;
        cell.classList.toggle('none', raw === null);
        text(one('[data-value]', cell), raw === null ? 'off' : written(raw, cell));
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
    document.dispatchEvent(new CustomEvent('aceso:values', { detail: event }));
  };

  // --- silence of the line ----------------------------------------------------------------------
  let heard = Date.now();
  let ended = false;
  const lost = one('#lost');
  const alive = () => { heard = Date.now(); };
  const watch = () => {
    const quiet = !ended && lost && Date.now() - heard > QUIET_MS;
    if (lost && lost.hidden === quiet) {
      lost.hidden = !quiet;
      if (quiet) text(one('#lost-at'), clock(new Date(heard)));
      text(one('[data-clock-word]'), quiet ? 'Not live, ' : 'Live, ');
    }
    document.documentElement.classList.toggle('lost-line', Boolean(quiet));
    for (const node of all('[data-age-ms]')) {
      const at = Number(node.dataset.ageMs);
      if (at) text(node, age(now() - at));
    }
    for (const holder of all('[data-last-ms]')) {
      const old = quiet || now() - Number(holder.dataset.lastMs) > STALE_MS;
      if (holder.matches('.tile')) holder.classList.toggle('stale', old);
    }
    for (const cell of all('#now .v, .tile .v')) {
      const at = Number(cell.dataset.atMs);
      cell.classList.toggle('stale', Boolean(at) && (quiet || now() - at > STALE_MS));
    }
    const face = one('[data-clock]');
    if (face) text(face, clock(new Date(now())));
  };

  // --- the stream -------------------------------------------------------------------------------
  let source = null;
  const open = () => {
    const address = document.body.dataset.live;
    if (!address || ended) return;
    if (source) source.close();
    source = new EventSource(address);
    const on = (name, act) => source.addEventListener(name, (message) => { alive(); act(JSON.parse(message.data)); });
    on('beat', (beat) => {
      ahead = beat.now - Date.now();
      const halt = one('#halt');
      if (halt) {
        one('[data-age-ms]', halt).dataset.ageMs = beat.tip;
        halt.hidden = !beat.stale;
      }
      document.dispatchEvent(new CustomEvent('aceso:beat', { detail: beat }));
    });
    on('values', apply);
    on('proof', (proof) => { sizes = proof; proveAll(); document.dispatchEvent(new CustomEvent('aceso:proof', { detail: proof })); });
    on('alarm', (alarm) => {
      if (alarm.shout) text(one('#shout'), alarm.shout);
      document.dispatchEvent(new CustomEvent('aceso:alarm', { detail: alarm }));
      document.body.dispatchEvent(new CustomEvent('ward:changed', { bubbles: true }));
    });
    on('changed', () => document.body.dispatchEvent(new CustomEvent('ward:changed', { bubbles: true })));
    on('access', () => {});
    on('ended', (end) => {
      ended = true;
      source.close();
      text(one('#ended-why'), end.why);
      one('#ended').hidden = false;
      if (lost) lost.hidden = true;
      // What may not be seen any longer leaves the screen.
      all('#ward, #now, .pt, .two, main h1').forEach((node) => node.remove());
      one('#ended a').focus();
    });
    // A redrawn part of this page, rendered by the server for this very session.
    source.addEventListener('now', (message) => {
      alive();
      if (one('#now')) htmx.swap('#now', message.data, { swapStyle: 'outerHTML' });
    });
    source.addEventListener('open', alive);
    source.addEventListener('error', () => {
      // The browser tries again by itself, but not after a refusal.
      if (source.readyState === EventSource.CLOSED && !ended) setTimeout(open, 3000);
    });
  };

  // --- sound ------------------------------------------------------------------------------------
  // Off until somebody presses the button: browsers ask for that, and so do quiet rooms. Patterns
  // are modelled on IEC 60601-1-8: bursts of ten, three and one pulses.
  const PATTERNS = {
    high: { pulses: [0, 0.2, 0.4, 0.75, 0.95, 1.5, 1.7, 1.9, 2.25, 2.45], tone: 880, every: 5000 },
    medium: { pulses: [0, 0.3, 0.6], tone: 660, every: 12000 },
    low: { pulses: [0], tone: 523, every: 25000 },
    tech: { pulses: [0], tone: 392, every: 25000 },
  };
  let audio = null;
  let rang = 0;
  const button = one('#sound');
  const sounding = () => audio && audio.state === 'running';
  const ring = () => {
    const open = all('.alarm[data-sounds="true"]').map((node) => node.dataset.priority);
    const worst = ['high', 'medium', 'low', 'tech'].find((priority) => open.includes(priority));
    if (!worst || !sounding() || Date.now() - rang < PATTERNS[worst].every) return;
    rang = Date.now();
    for (const start of PATTERNS[worst].pulses) {
      const at = audio.currentTime + start;
      const gain = audio.createGain();
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.2, at + 0.02);
      gain.gain.setValueAtTime(0.2, at + 0.12);
      gain.gain.linearRampToValueAtTime(0, at + 0.15);
      gain.connect(audio.destination);
      for (const harmonic of [1, 2, 3, 4]) {
        const tone = audio.createOscillator();
        tone.frequency.value = PATTERNS[worst].tone * harmonic;
        const part = audio.createGain();
        part.gain.value = 1 / (2 * harmonic);
        tone.connect(part).connect(gain);
        tone.start(at);
        tone.stop(at + 0.16);
      }
    }
  };
  if (button && 'AudioContext' in window) {
    const say = () => {
      const on = sounding();
      button.setAttribute('aria-pressed', String(Boolean(on)));
      text(one('[data-sound-word]', button), on ? 'Sound on' : 'Sound off');
      one('use', button).setAttribute('href', on ? '#i-bell' : '#i-mute');
    };
    button.hidden = false;
    button.addEventListener('click', async () => {
      if (!audio) audio = new AudioContext();
      else if (audio.state === 'running') await audio.suspend();
      else await audio.resume();
      if (audio.state === 'suspended' && button.getAttribute('aria-pressed') === 'false') await audio.resume();
      rang = 0;
      say();
    });
  }

  // --- start ------------------------------------------------------------------------------------
  const settle = (root) => { localise(root); proveAll(); watch(); };
  // After settling: until then htmx lends a new element the attributes of the one it replaces.
  document.addEventListener('htmx:afterSettle', (event) => {
    settle(document);
    document.dispatchEvent(new CustomEvent('aceso:drawn', { detail: event.detail && event.detail.elt }));
  });
  // An answer that refuses is still an answer: show it instead of keeping what may not be seen.
  document.addEventListener('htmx:responseError', (event) => {
    if ([401, 403, 404].includes(event.detail.xhr.status)) window.location.reload();
  });
  const retry = one('#retry');
  if (retry) retry.addEventListener('click', () => { open(); document.body.dispatchEvent(new CustomEvent('ward:changed', { bubbles: true })); });
  settle(document);
  open();
  setInterval(() => { watch(); ring(); }, 1000);
  document.dispatchEvent(new CustomEvent('aceso:drawn', { detail: document }));
  window.addEventListener('pageshow', (event) => { if (event.persisted) window.location.reload(); });
})();
