// The one live connection of a browser, and the hub that shares it among its pages. Runs in a shared worker;
// where there is none, each page runs it for itself and closes its connection while hidden.
'use strict';
(() => {
  const { rules } = globalThis.aceso;
  const TOPICS_MAX = 24; // as the server
  const FORGET_MS = 10000; // a page that does not answer for this long is frozen or gone; when it wakes it registers again
  const AWAY_MS = 5000; // a page hidden for this long gives up the topic that only it shows
  const NAMES = ['beat', 'proof', 'strip', 'alarm', 'values', 'tile', 'ward', 'now', 'closed', 'ended'];
  const FOR_ALL = ['beat', 'proof', 'strip', 'alarm', 'ended'];
  const moment = () => ({ mono: performance.now(), wall: Date.now() });

  // `connect(address)` returns an EventSource, `tell(name, data)` gets its events.
  class Line {
    constructor(address, connect, tell, clock = moment) {
      Object.assign(this, { address, connect, tell, clock });
      this.topics = '';
      this.current = null; // has sent an event
      this.next = null; // was opened, no event yet
      this.heard = clock();
      this.over = false;
      this.paused = false; // closed while no page is visible
    }

    // Follows these topics: the old connection is closed at the first event of the new one.
    want(topics) {
      if (topics === this.topics && (this.current || this.next)) return;
      this.topics = topics;
      this.open();
    }

    open() {
      if (this.over) return;
      if (this.paused) this.heard = this.clock();
      this.paused = false;
      if (this.next) this.next.source.close();
      const source = this.connect(this.address + (this.topics ? `?with=${this.topics}` : ''));
      const attempt = { source, topics: this.topics, begun: this.clock(), answered: false };
      this.next = attempt;
      source.addEventListener('open', () => { attempt.answered = true; });
      // The browser would try again by itself, but not after a refusal, and not soon.
      source.addEventListener('error', () => this.failed(attempt));
      for (const name of NAMES) source.addEventListener(name, (message) => this.receive(attempt, name, message.data));
    }

    failed(attempt) {
      attempt.source.close();
      if (attempt === this.current) this.current = null;
      attempt.failed = true;
    }

    receive(attempt, name, text) {
      if (attempt === this.next) {
        if (this.current) this.current.source.close();
        this.current = attempt;
        this.next = null;
      }
      if (attempt !== this.current) return;
      this.heard = this.clock();
      if (name === 'ended') this.close(true);
      this.tell(name, JSON.parse(text));
    }

    close(over = false) {
      this.over = over;
      this.paused = !over;
      for (const one of [this.current, this.next]) if (one) one.source.close();
      this.current = null;
      this.next = null;
    }

    // Called twice a second: the state of the connection. Opens it again when it is silent.
    watch() {
      const now = this.clock();
      const quiet = rules.since(this.heard, now);
      const live = quiet <= rules.QUIET_MS;
      const waited = this.next ? rules.since(this.next.begun, now) : Infinity;
      const answered = Boolean(this.next && this.next.answered);
      if (!this.over && !this.paused) {
        if (this.next && this.next.failed) { if (waited > 1000) this.open(); }
        else if (!this.current && !this.next) this.open();
        else if (quiet > rules.REOPEN_MS && waited > rules.REOPEN_MS) this.open();
      }
      return { live, quiet, paused: this.paused, heldBack: !live && answered && waited > rules.QUIET_MS };
    }
  }

  // Shares one connection among pages. Each page's port sends { hello: { topic, rendered } }, then { here } after
  // every tick, and { bye }.
  class Hub {
    constructor(connect, lone = false, clock = moment) {
      Object.assign(this, { connect, lone, clock });
      this.pages = new Map();
      this.kept = new Map(); // newest of each rendered part, for a page that joins later
      this.line = null;
      this.rings = null;
      this.ended = null;
      this.count = 0;
    }

    add(port) {
      port.onmessage = ({ data }) => this.receive(port, data);
    }

    receive(port, data) {
      if (data.bye) { this.pages.delete(port); this.settle(); return; }
      if (data.hello) this.hello(port, data.hello);
      const page = this.pages.get(port);
      if (!page) return;
      page.heard = this.clock();
      if (data.here) {
        page.running = data.here.running;
        page.hiddenMs = data.here.hiddenMs;
      }
      if (data.topic !== undefined) page.topic = data.topic;
      this.settle();
    }

    hello(port, { address, topic, rendered }) {
      if (!this.pages.has(port)) {
        this.count += 1;
        this.pages.set(port, { id: this.count, running: false, hiddenMs: 0 });
      }
      Object.assign(this.pages.get(port), { topic, heard: this.clock() });
      if (!this.line) this.line = new Line(address, this.connect, (name, detail) => this.publish(name, detail), this.clock);
      if (this.ended) { port.postMessage({ name: 'ended', detail: this.ended }); return; }
      for (const [, { name, detail }] of this.kept) {
        if (detail.now > rendered && this.concerns(this.pages.get(port), name, detail)) port.postMessage({ name, detail });
      }
    }

    // Follows what the visible pages show, and chooses the page that rings.
    settle() {
      if (!this.line) return;
      const pages = [...this.pages.values()];
      const shown = pages.filter((page) => page.topic && !this.away(page));
      const topics = [...new Set(shown.reverse().map((page) => page.topic))];
      for (const page of shown) page.crowded = topics.indexOf(page.topic) >= TOPICS_MAX;
      const idle = this.lone && pages.every((page) => this.away(page) && !page.running);
      // Nothing of a record that no page shows stays in memory.
      for (const [key, { detail }] of this.kept) if (detail.t && !topics.includes(detail.t)) this.kept.delete(key);
      if (pages.length === 0 || idle) this.line.close(this.line.over);
      else this.line.want(topics.slice(0, TOPICS_MAX).sort().join(','));
      const now = this.clock();
      const windows = pages.map(({ id, running, heard, hiddenMs }) => ({ id, running, hiddenMs, unheardMs: rules.since(heard, now) }));
      this.rings = rules.ringer(windows, this.rings);
    }

    // Twice a second. Pages answer, so that a frozen one is noticed.
    tick() {
      const now = this.clock();
      for (const [port, page] of this.pages) {
        if (rules.since(page.heard, now) > FORGET_MS) this.pages.delete(port);
      }
      this.settle();
      if (!this.line) return;
      const state = this.line.watch();
      for (const [port, page] of this.pages) {
        port.postMessage({ tick: { ...state, you: page.id === this.rings, rings: this.rings !== null, crowded: Boolean(page.crowded) } });
      }
    }

    away(page) {
      return page.hiddenMs > AWAY_MS;
    }

    concerns(page, name, detail) {
      return FOR_ALL.includes(name) || (page.topic === detail.t && !this.away(page));
    }

    publish(name, detail) {
      if (name === 'ended') this.ended = detail;
      if (name === 'strip') this.kept.set(name, { name, detail });
      if (['ward', 'tile', 'now'].includes(name)) {
        if (name === 'ward') for (const key of [...this.kept.keys()]) if (key.startsWith('tile ')) this.kept.delete(key);
        this.kept.set(`${name} ${detail.t} ${detail.p}`, { name, detail });
      }
      for (const [port, page] of this.pages) {
        if (this.concerns(page, name, detail)) port.postMessage({ name, detail });
      }
    }
  }

  Object.assign(globalThis.aceso, { Line, Hub, moment });
})();
