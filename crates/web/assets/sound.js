// Sound. It is off until somebody turns it on: browsers ask for that, and so do quiet rooms. The choice
// holds for the session, in all windows of the browser; the hub (line.js) says which one of them rings.
// If sound is on and no window can ring, each says so.
'use strict';
(() => {
  const { rules, page } = globalThis.aceso;
  const one = (selector, root = document) => root.querySelector(selector);
  const text = (node, value) => { if (node && node.textContent !== value) node.textContent = value; };
  const button = one('#sound');
  if (!button) return;
  const PREFIX = 'aceso.sound.';
  const key = PREFIX + document.body.dataset.mark;
  const banner = one('#silent');
  const again = one('#sound-again');

  // Without storage (private windows may refuse it) the choice holds for this page.
  let chosen = false;
  const remember = (on) => {
    chosen = on;
    try {
      for (const old of Object.keys(localStorage)) if (old.startsWith(PREFIX) && old !== key) localStorage.removeItem(old);
      localStorage.setItem(key, on ? 'on' : 'off');
    } catch { /* as above */ }
  };
  const recall = () => { try { chosen = localStorage.getItem(key) === 'on'; } catch { /* as above */ } };

  let audio = null;
  let tick = { you: false, rings: false };
  let silentSince = null; // no window rings although sound is on
  const running = () => Boolean(chosen && audio && audio.state === 'running');

  const say = () => {
    page.running = running();
    text(one('[data-sound-word]', button), chosen ? 'Turn alarm sound off' : 'Turn alarm sound on');
    one('use', button).setAttribute('href', chosen ? '#i-mute' : '#i-bell');
    const heard = running() || tick.rings;
    if (!chosen || heard || page.ended()) silentSince = null;
    else if (!silentSince) silentSince = page.moment();
    const silent = (silentSince && rules.since(silentSince, page.moment()) > 1000) || (chosen && page.ended());
    banner.hidden = !silent;
    if (!silent) return;
    again.hidden = page.ended();
    text(one('[data-silent-words]'), page.ended()
      ? 'This page is closed: no alarm rings here any more.'
      : 'Sound is off in this window, and no other window of this browser rings: alarms are seen here, not heard. Tap the button, or press any key.');
  };

  const wake = async () => {
    if (!chosen) return;
    if (!audio) {
      if (!('AudioContext' in window)) return;
      audio = new AudioContext();
      audio.addEventListener('statechange', () => { say(); page.here(); });
    }
    // Browsers refuse this until somebody touches the page: then it stays suspended, and the page says so.
    if (audio.state !== 'running') audio.resume().then(say, say);
    say();
  };
  const hush = () => { if (audio) audio.suspend().then(say, say); say(); };
  const choose = (on) => {
    remember(on);
    last = null;
    if (on) wake(); else hush();
    page.here();
  };

  // --- ringing ----------------------------------------------------------------------------------
  let last = null;
  let rang = null;
  let playing = null; // what a burst goes through, so that it can be cut short
  const cut = () => { if (playing) playing.disconnect(); playing = null; };
  const burst = ({ pulses, tone: base }) => {
    cut();
    playing = audio.createGain();
    playing.connect(audio.destination);
    for (const start of pulses) {
      const at = audio.currentTime + start;
      const gain = audio.createGain();
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.2, at + 0.02);
      gain.gain.setValueAtTime(0.2, at + 0.12);
      gain.gain.linearRampToValueAtTime(0, at + 0.15);
      gain.connect(playing);
      for (const harmonic of [1, 2, 3, 4]) {
        const tone = audio.createOscillator();
        tone.frequency.value = base * harmonic;
        const part = audio.createGain();
        part.gain.value = 1 / (2 * harmonic);
        tone.connect(part).connect(gain);
        tone.start(at);
        tone.stop(at + 0.16);
      }
    }
  };
  const ring = () => {
    // A window that was frozen rings only once the hub gives it the turn again.
    if (!tick.you || !running()) { last = null; cut(); return; }
    const worst = rules.worst(page.alarms(), page.now(), page.lost());
    if (!rules.due(worst, last, rang ? rules.since(rang, page.moment()) : Infinity)) { if (!worst) { last = null; cut(); } return; }
    last = worst;
    rang = page.moment();
    burst(rules.PATTERNS[worst]);
  };

  recall();
  button.hidden = false;
  button.addEventListener('click', () => choose(!chosen));
  again.addEventListener('click', () => choose(true));
  addEventListener('storage', (event) => {
    if (event.key !== key) return;
    recall();
    if (chosen) wake(); else hush();
  });
  // Any touch lets a window ring again that the browser had kept silent.
  for (const name of ['pointerdown', 'keydown']) addEventListener(name, () => { if (chosen && !running()) wake(); }, { passive: true, capture: true });
  // The hub's ticks are not slowed down in a window out of sight, as its own timers are.
  document.addEventListener('aceso:tick', ({ detail }) => { tick = detail; say(); ring(); });
  for (const name of ['aceso:strip', 'aceso:now', 'aceso:ended']) document.addEventListener(name, () => { say(); ring(); });
  wake();
})();
