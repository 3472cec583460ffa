// Compares the ledger with what this browser saw before: remembers the newest block it saw, asks for that block
// again, and warns when the ledger ends before it or has another block in its place. A node that shows two
// different pasts to one browser is found out.
'use strict';
(() => {
  const { ledger } = document.body.dataset;
  const AGAIN_MS = 60000; // a page that stays open asks again this often
  const key = `aceso.witness.${ledger}`;
  const one = (selector, root = document) => root.querySelector(selector);
  // Without storage (private windows may refuse it) there is nothing to compare.
  const read = () => { try { return JSON.parse(localStorage.getItem(key)) || {}; } catch { return {}; } };
  const write = (seen) => { try { localStorage.setItem(key, JSON.stringify(seen)); } catch { /* as above */ } };
  const moment = (ms) => {
    const date = new Date(ms);
    const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
    return `on ${day} at ${date.toLocaleTimeString('en-GB')}`;
  };
  const short = (digest) => `${digest.slice(0, 8)}…${digest.slice(-8)}`;
  const hide = (id) => { one(id).hidden = true; };
  const show = (id, seen, rest) => {
    const banner = one(id);
    one('[data-seen-height]', banner).textContent = seen.height.toLocaleString('en-GB');
    one('[data-seen-at]', banner).textContent = moment(seen.at);
    rest(banner);
    banner.hidden = false;
  };
  const split = (seen) => {
    hide('#behind');
    show('#split', seen, (banner) => {
      one('[data-was]', banner).textContent = short(seen.digest);
      one('[data-is]', banner).textContent = short(seen.other);
    });
  };
  const whole = (seen) => Number.isSafeInteger(seen.height) && /^[0-9a-f]{64}$/.test(seen.digest);

  let asked = 0;
  const saw = async (height, digest) => {
    let seen = read();
    // The warning stays for ever: somebody has to find the cause.
    if (whole(seen) && seen.other) { split(seen); return; }
    const newer = () => write({ height, digest, at: Date.now() });
    if (!whole(seen)) { newer(); return; }
    const again = height < seen.height || Date.now() - asked > AGAIN_MS;
    if (!again) { if (height > seen.height) newer(); return; }
    let shown = null;
    try {
      const answer = await fetch(`/ledger/heads/${seen.height}`, { headers: { accept: 'application/json' } });
      if (answer.status === 410 && height > seen.height) {
        // Pruned: there is nothing to compare with any more, and the newest block takes its place.
        shown = { digest: seen.digest };
      } else {
        if (!answer.ok || answer.redirected) return;
        shown = await answer.json();
      }
    } catch { return; } // the line is down: that has its own banner
    asked = Date.now();
    if (shown.digest === null) {
      show('#behind', seen, (banner) => { one('[data-now-height]', banner).textContent = height.toLocaleString('en-GB'); });
      return;
    }
    hide('#behind');
    if (shown.digest !== seen.digest) {
      seen = { ...seen, other: shown.digest };
      write(seen);
      split(seen);
      return;
    }
    // Another page of this browser may have seen a newer block by now, or two pasts: do not overwrite that.
    const latest = read();
    if (whole(latest) && latest.other) { split(latest); return; }
    if (height > (latest.height || 0)) newer();
  };

  saw(Number(document.body.dataset.height), document.body.dataset.digest);
  document.addEventListener('aceso:beat', ({ detail }) => { if (detail.digest) saw(detail.height, detail.digest); });
})();
