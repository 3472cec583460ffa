// What the pages' scripts decide, without a browser: node --test tests-browser
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../crates/web/assets/rules.js';
import '../crates/web/assets/line.js';

const { rules, Line, Hub } = globalThis.aceso;

// A clock that tests move, and connections whose events tests send.
const scene = () => {
  const at = { mono: 0, wall: 1_000_000 };
  const clock = () => ({ ...at });
  const pass = (ms) => { at.mono += ms; at.wall += ms; };
  const sources = [];
  const connect = (address) => {
    const on = {};
    const source = { address, closed: false, close() { this.closed = true; }, addEventListener: (name, act) => { on[name] = act; } };
    source.say = (name, detail = {}) => on[name]({ data: JSON.stringify(detail) });
    sources.push(source);
    return source;
  };
  const open = () => sources.filter((source) => !source.closed);
  return { at, clock, pass, sources, connect, open };
};
const window = (hub, topic, here = {}) => {
  const heard = [];
  const port = { postMessage: (words) => heard.push(words) };
  hub.add(port);
  const said = (data) => port.onmessage({ data });
  said({ hello: { address: '/live', topic, rendered: 0 } });
  const answer = (more = {}) => said({ here: { running: false, hiddenMs: 0, ...here, ...more } });
  answer();
  return { heard, said, answer, names: () => heard.filter((one) => one.name).map((one) => one.name), tick: () => heard.findLast((one) => one.tick).tick };
};

test('the strip keeps its order while somebody points at it', () => {
  const keys = (list) => list.map(({ key, gone }) => (gone ? `(${key})` : key)).join(' ');
  assert.equal(keys(rules.arrange(['b', 'a'], ['n', 'a', 'b'], false)), 'n a b');
  assert.equal(keys(rules.arrange(['b', 'a'], ['n', 'a', 'b'], true)), 'b a n');
  assert.equal(keys(rules.arrange(['b', 'a', 'c'], ['n', 'c', 'a'], true)), '(b) a c n');
  assert.deepEqual(['a', 'b', ''].map((patient) => rules.elsewhere(patient, 'a')), [false, true, true]);
  assert.deepEqual(['a', ''].map((patient) => rules.elsewhere(patient, null)), [true, true], 'a gateway’s alarm is no patient’s');
  assert.equal(rules.held(true, 0), true);
  assert.equal(rules.held(true, rules.HOLD_MS), false, 'a pointer that was left there holds nothing up');
  assert.equal(rules.held(false, 0), false);
});

test('the worst alarm that is neither silenced nor answered rings, and a lost connection rings', () => {
  const alarm = (priority, active = true, silencedMs = 0) => ({ priority, active, silencedMs });
  assert.equal(rules.worst([alarm('low'), alarm('high'), alarm('medium')], 5, false), 'high');
  assert.equal(rules.worst([alarm('high', true, 10), alarm('medium')], 5, false), 'medium');
  assert.equal(rules.worst([alarm('high', true, 10)], 10, false), 'high', 'the silence is over');
  assert.equal(rules.worst([alarm('high', false)], 5, false), null);
  assert.equal(rules.worst([], 5, true), 'tech');
  assert.equal(rules.due('high', 'low', 10), true, 'a worse one waits for nothing');
  assert.equal(rules.due('low', 'high', 10), false);
  assert.equal(rules.due('high', 'high', 5000), true);
  assert.equal(rules.due(null, null, 1e9), false);
});

test('one window rings, and another takes over when it cannot', () => {
  const one = (id, more = {}) => ({ id, running: true, unheardMs: 0, hiddenMs: 0, ...more });
  assert.equal(rules.ringer([one(1), one(2), one(3)], null), 1);
  assert.equal(rules.ringer([one(1), one(2)], 2), 2, 'who rings goes on');
  assert.equal(rules.ringer([one(1, { unheardMs: rules.UNHEARD_MS }), one(2)], 1), 2, 'frozen');
  assert.equal(rules.ringer([one(1, { running: false }), one(2)], 1), 2, 'made silent by the browser');
  assert.equal(rules.ringer([one(1, { hiddenMs: 6 * 60_000 }), one(2)], 1), 2, 'out of sight for minutes');
  assert.equal(rules.ringer([one(1, { hiddenMs: 1000 }), one(2)], 1), 1, 'just out of sight');
  assert.equal(rules.ringer([one(1, { hiddenMs: 6 * 60_000 }), one(2, { hiddenMs: 1 })], 1), 1, 'nobody is seen: goes on');
  assert.equal(rules.ringer([one(1, { hiddenMs: 6 * 60_000 }), one(2, { running: false })], 1), 1, 'nobody else can');
  assert.equal(rules.ringer([one(1, { running: false })], 1), null);
});

test('a curve has a hole wherever nothing was measured', () => {
  const frame = { from: 0, bucket: 2000 };
  const plot = { rows: [] };
  const means = () => rules.columns(plot.rows, 3000, 10)[3];
  rules.add(plot, frame, 18_000, 680);
  for (let s = 19; s < 32; s += 1) rules.add(plot, frame, s * 1000, null);
  rules.add(plot, frame, 32_000, 1710);
  assert.deepEqual(means(), [68, null, 171], '68 at 18, off, 171 at 32: not one slope');
  plot.rows = [];
  for (const [s, raw] of [[10, 700], [11, 700], [12, null], [13, null], [14, 710]]) rules.add(plot, frame, s * 1000, raw);
  assert.deepEqual(means(), [70, null, 71], 'two seconds of "no value" are enough');
  plot.rows = [];
  for (const s of [10, 12, 18]) rules.add(plot, frame, s * 1000, 700);
  assert.deepEqual(means(), [70, 70, null, 70], 'nothing at all for six seconds');
});

test('a silent connection is lost within two seconds, whether it is cut, asleep or held back', () => {
  const { at, clock, pass, sources, connect, open } = scene();
  const line = new Line('/live', connect, () => {}, clock);
  line.want('');
  pass(1500);
  assert.equal(line.watch().live, true, 'it may still come');
  sources[0].say('open');
  pass(100);
  const held = line.watch();
  assert.equal(held.live, false);
  assert.equal(held.heldBack, true, 'answered, and nothing comes through: a buffering proxy');
  sources[0].say('beat');
  assert.equal(line.watch().live, true);
  pass(1550);
  assert.equal(line.watch().live, false, 'cut');
  sources[0].say('beat');
  at.wall += 3_600_000; // asleep: only the wall clock went on
  assert.equal(line.watch().live, false);
  assert.equal(open().length, 2, 'and opened again at once');
  sources[1].say('beat');
  assert.equal(line.watch().live, true);
  assert.deepEqual(open(), [sources[1]], 'one remains');
});

test('another set of pages is followed without a moment of silence, and a refusal is tried again', () => {
  const { clock, pass, sources, connect, open } = scene();
  const names = [];
  const line = new Line('/live', connect, (name) => names.push(name), clock);
  line.want('wall');
  sources[0].say('beat');
  line.want('a-treatment,wall');
  sources[0].say('alarm');
  assert.equal(open().length, 2, 'the old one goes on until the new one sends an event');
  sources[1].say('beat');
  assert.deepEqual(open(), [sources[1]]);
  assert.deepEqual(names, ['beat', 'alarm', 'beat']);
  assert.equal(sources[1].address, '/live?with=a-treatment,wall');
  sources[1].say('error');
  pass(500);
  line.watch();
  assert.equal(open().length, 1, 'opened again');
  sources[2].say('error');
  pass(500);
  line.watch();
  assert.equal(sources.length, 3, 'not in a hurry');
  pass(600);
  line.watch();
  assert.equal(sources.length, 4);
  sources[3].say('ended', { why: '' });
  pass(60_000);
  line.watch();
  assert.equal(open().length, 0, 'ended is ended');
});

test('twelve pages share one connection, and each gets what it shows', () => {
  const { clock, pass, sources, connect, open } = scene();
  const hub = new Hub(connect, false, clock);
  const wall = window(hub, 'wall');
  const charts = Array.from({ length: 11 }, (_, n) => window(hub, `p${n}-treatment`));
  sources.at(-1).say('beat', { now: 1 });
  assert.equal(open().length, 1);
  assert.equal(sources.at(-1).address.split(',').length, 12);
  sources.at(-1).say('strip', { now: 2, html: '' });
  sources.at(-1).say('now', { t: 'p3-treatment', p: 'p3', now: 2, html: 'three' });
  sources.at(-1).say('tile', { t: 'wall', p: 'p3', now: 2, html: 'three' });
  assert.deepEqual(wall.names(), ['beat', 'strip', 'tile']);
  assert.deepEqual(charts[3].names(), ['beat', 'strip', 'now']);
  assert.deepEqual(charts[4].names(), ['beat', 'strip'], 'nobody else’s values');
  // A page that comes in between gets what is newer than itself.
  const late = window(hub, 'wall');
  assert.deepEqual(late.names(), ['strip', 'tile']);
  // Out of sight: what only it showed is given back; the alarms still reach it.
  pass(6000);
  for (const page of [wall, ...charts]) page.answer(page === charts[3] ? { hiddenMs: 6000 } : {});
  hub.tick();
  assert.equal(sources.at(-1).address.includes('p3-'), false);
  sources.at(-1).say('beat', { now: 3 });
  sources.at(-1).say('strip', { now: 3, html: '' });
  assert.deepEqual(charts[3].names().slice(-2), ['beat', 'strip']);
  charts[3].answer();
  assert.equal(sources.at(-1).address.includes('p3-'), true, 'seen again');
});

test('a frozen page is dropped, and gets everything when it registers again', () => {
  const { clock, pass, sources, connect } = scene();
  const hub = new Hub(connect, false, clock);
  const frozen = window(hub, 'wall', { running: true });
  const other = window(hub, '', { running: true });
  hub.tick();
  assert.deepEqual([frozen.tick().you, other.tick().you], [true, false]);
  for (let ms = 0; ms < 3000; ms += 500) { pass(500); sources.at(-1).say('beat', {}); other.answer(); hub.tick(); }
  assert.deepEqual([frozen.tick().you, other.tick().you, other.tick().rings], [false, true, true], 'taken over within three seconds');
  for (let ms = 0; ms < 9000; ms += 500) { pass(500); sources.at(-1).say('beat', {}); other.answer(); hub.tick(); }
  const before = frozen.heard.length;
  sources.at(-1).say('strip', { now: 5, html: '' });
  assert.equal(frozen.heard.length, before, 'nothing piles up for it');
  frozen.said({ hello: { address: '/live', topic: 'wall', rendered: 1 } });
  assert.deepEqual(frozen.names().slice(-1), ['strip']);
});

test('when the ringing window closes another rings at once, and each knows when none can', () => {
  const { clock, sources, connect } = scene();
  const hub = new Hub(connect, false, clock);
  const first = window(hub, 'wall', { running: true });
  const second = window(hub, '', { running: true });
  const mute = window(hub, '');
  sources.at(-1).say('beat', {});
  hub.tick();
  assert.deepEqual([first, second, mute].map((one) => one.tick().you), [true, false, false]);
  first.said({ bye: true });
  hub.tick();
  assert.deepEqual([second, mute].map((one) => one.tick().you), [true, false]);
  second.said({ bye: true });
  hub.tick();
  assert.deepEqual([mute.tick().you, mute.tick().rings], [false, false]);
});

test('without shared workers a hidden page gives its connection back, unless it rings', () => {
  const { clock, pass, connect, sources, open } = scene();
  const hub = new Hub(connect, true, clock);
  const page = window(hub, 'wall');
  sources[0].say('beat', {});
  pass(6000);
  page.answer({ hiddenMs: 6000 });
  hub.tick();
  assert.equal(open().length, 0);
  page.answer();
  assert.equal(open().length, 1, 'and takes it again');
  sources.at(-1).say('beat', {});
  pass(6000);
  page.answer({ hiddenMs: 6000, running: true });
  hub.tick();
  sources.at(-1).say('beat', {});
  assert.equal(open().length, 1, 'it rings for the others');
  assert.equal(sources.at(-1).address, '/live', 'and shows nothing of its own');
});
