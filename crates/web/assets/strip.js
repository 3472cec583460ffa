// Puts what the stream brings into the page: the alarm strip, tiles, a patient's newest values. The server has
// rendered all of it for this session; it is parsed, never executed, and causes no further request.
'use strict';
(() => {
  const { rules, page, settle, moment } = globalThis.aceso;
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const parse = (html) => document.adoptNode(new DOMParser().parseFromString(html, 'text/html').body.firstElementChild);
  const sources = new WeakMap(); // the markup of each alarm: one that has not changed is not replaced

  // Replaces an old part by a new one. The focus stays on its button.
  const replace = (old, fresh) => {
    const at = old.contains(document.activeElement) ? document.activeElement.id : '';
    old.replaceWith(fresh);
    if (window.htmx) window.htmx.process(fresh);
    if (at) { const same = document.getElementById(at); if (same) same.focus({ preventScroll: true }); }
  };

  // --- the pointer -------------------------------------------------------------------------
  let pointed = null;
  let moved = moment();
  const point = (node) => { pointed = node instanceof Element ? node.closest('.alarms') : null; if (pointed) moved = moment(); };
  document.addEventListener('pointermove', (event) => { if (event.pointerType === 'mouse') point(event.target); }, { passive: true });
  document.addEventListener('pointerdown', (event) => point(event.target), { passive: true });
  document.documentElement.addEventListener('pointerleave', () => { pointed = null; });
  document.addEventListener('focusin', (event) => { if (event.target.closest('.alarms')) moved = moment(); });
  document.addEventListener('keydown', (event) => { if (event.target.closest && event.target.closest('.alarms')) moved = moment(); });
  const held = (section) => {
    const inside = (pointed && pointed.id === section.id) || (section.contains(document.activeElement) && document.activeElement.matches(':focus-visible'));
    return rules.held(Boolean(inside), rules.since(moved, moment()));
  };

  // --- alarms -----------------------------------------------------------------------------------
  const over = (item) => {
    if (item.classList.contains('gone')) return item;
    item.classList.add('gone');
    all('button', item).forEach((button) => { button.disabled = true; });
    const note = document.createElement('b');
    note.textContent = ' · no longer open';
    one('.who', item).append(note);
    return item;
  };
  // The fresh section with its alarms in an order that does not move under a pointer.
  const ordered = (section, fresh, mine) => {
    const shown = all('.alarm', section);
    const incoming = all('.alarm', fresh).filter((item) => rules.elsewhere(item.dataset.patient, mine));
    const known = new Map(shown.map((item) => [item.id, item]));
    const drawn = new Map(incoming.map((item) => {
      const source = item.outerHTML;
      const before = known.get(item.id);
      if (before && !before.classList.contains('gone') && sources.get(before) === source) return [item.id, before];
      sources.set(item, source);
      return [item.id, item];
    }));
    const order = rules.arrange(shown.map((item) => item.id), incoming.map((item) => item.id), held(section));
    const items = order.map(({ key, gone }) => (gone ? over(known.get(key)) : drawn.get(key)));
    if (items.length === 0) {
      if (!one('.quietline', fresh)) {
        const say = (style, words) => {
          const line = document.createElement('p');
          line.className = `quietline small ${style}`;
          line.textContent = words;
          return line;
        };
        fresh.replaceChildren(say('if-live', 'No alarm at another bed'), say('if-lost', 'Not known: no connection to the ward'));
      }
      return fresh;
    }
    const list = document.createElement('ol');
    list.className = 'strip';
    list.append(...items);
    fresh.replaceChildren(list);
    return fresh;
  };

  let last = null; // the newest strip, to be sorted once the pointer is away
  let waits = false;
  const strip = () => {
    const section = one('#alarms');
    if (!section || !last) return;
    const now = one('#now');
    waits = held(section);
    replace(section, ordered(section, parse(last), now ? now.dataset.patient : null));
    settle(one('#alarms'));
  };
  document.addEventListener('aceso:strip', ({ detail }) => {
    last = detail.html;
    strip();
    for (const node of all('[data-counts]')) if (node.textContent !== detail.counts) node.textContent = detail.counts;
  });
  document.addEventListener('aceso:covered', strip);
  document.addEventListener('aceso:tick', () => {
    const section = one('#alarms');
    if (waits && section && !held(section)) strip();
  });

  // --- tiles and newest values ------------------------------------------------------------------
  const put = (id, html) => {
    const old = document.getElementById(id);
    if (!old) return;
    const fresh = parse(html);
    const bed = one('#bed-alarms', old);
    const next = one('#bed-alarms', fresh);
    if (bed && next) ordered(bed, next, null);
    replace(old, fresh);
    settle(fresh);
  };
  document.addEventListener('aceso:tile', ({ detail }) => put(`place-${detail.p}`, detail.html));
  document.addEventListener('aceso:ward', ({ detail }) => put('ward', detail.html));
  document.addEventListener('aceso:now', ({ detail }) => put('now', detail.html));

  // --- what rings -------------------------------------------------------------------------------
  page.alarms = () => all('.alarm:not(.gone)').map(({ dataset }) => ({ priority: dataset.priority, active: dataset.active === 'true', silencedMs: Number(dataset.silencedMs) }));
})();
