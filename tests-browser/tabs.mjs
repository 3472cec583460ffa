// Twelve tabs of one browser: an alarm reaches them all, exactly one rings, and the thirteenth answers.
//
//   node tabs.mjs --url URL --logins FILE.json --out DIR --alarm-command CMD --alarm-clear CMD
//     --warning-command CMD [--stop-command CMD --go-command CMD]
//
// The alarm's CMD makes a high alarm begin at a patient on the wall, the warning's a lesser one at another
// patient. The stop's holds the serving process up (SIGSTOP), so that its connections stay open and say
// nothing. What is real here: the ward, the browser, its shared worker, its audio graph and its autoplay
// rule. What is simulated: a headless page is always visible and never frozen by the browser. For a tab that is
// out of sight for six minutes the script sets the page's visibility and moves its clock; a frozen tab is one
// whose scripts are stopped by a debugger, in a process of its own.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { LAUNCH, objections, overflow } from './pages.mjs';

const TABS = 12;
const WITHIN_MS = 2000;
const ALARM_WAIT_MS = 90_000;
const WAIT_MS = 60_000;
const LISTEN_MS = 7000; // a high alarm rings every five seconds

const { values: options } = parseArgs({
  options: Object.fromEntries(['url', 'logins', 'out', 'alarm-command', 'alarm-clear', 'warning-command', 'stop-command', 'go-command'].map((name) => [name, { type: 'string' }])),
});
for (const name of ['url', 'logins', 'out', 'alarm-command', 'alarm-clear', 'warning-command']) if (!options[name]) throw new Error(`--${name} is missing`);
const url = options.url.replace(/\/$/, '');
const { doctor } = JSON.parse(readFileSync(options.logins, 'utf8'));
mkdirSync(options.out, { recursive: true });

let checks = 0;
const must = (holds, text) => { if (!holds) throw new Error(text); checks += 1; console.log(`ok ${checks} tabs: ${text}`); };
const run = (command) => new Promise((done, no) => { execFile('/bin/sh', ['-c', command], (why, out) => (why ? no(why) : done(out))); });

// Records what a page plays, and when each alarm is painted.
const ears = () => {
  const Real = window.AudioContext;
  window.heardContexts = [];
  window.AudioContext = class extends Real {
    constructor(...settings) {
      super(...settings);
      const ear = this.createAnalyser();
      ear.fftSize = 4096; // a tenth of a second
      ear.connect(super.destination);
      Object.defineProperty(this, 'destination', { get: () => ear });
      window.heardContexts.push({ context: this, ear });
    }
  };
  // The moments, to a tenth of a second, at which something was heard here.
  window.loud = async (ms) => {
    const samples = new Float32Array(4096);
    const moments = new Set();
    for (const end = performance.now() + ms; performance.now() < end;) {
      for (const { context, ear } of window.heardContexts) {
        if (context.state !== 'running') continue;
        ear.getFloatTimeDomainData(samples);
        if (samples.some((sample) => Math.abs(sample) > 0.01)) moments.add(Math.floor((performance.timeOrigin + performance.now()) / 100));
      }
      await new Promise((go) => { setTimeout(go, 40); });
    }
    return [...moments];
  };
  window.painted = {};
  const look = () => {
    // How long the server had been silent when the page said so.
    const lost = document.querySelector('#lost');
    if (lost && !lost.hidden && !window.silentFor) window.silentFor = Date.now() - globalThis.aceso.page.alive();
    if (lost && lost.hidden) window.silentFor = 0;
    for (const node of document.querySelectorAll('.alarm:not([hidden])')) {
      const key = `${node.id} ${node.dataset.priority} ${node.dataset.raisedMs}`;
      if (!window.painted[key] && node.offsetParent) window.painted[key] = Date.now();
    }
  };
  addEventListener('DOMContentLoaded', () => { look(); new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['hidden'] }); });
};

// Every look of a state: fits, and axe finds nothing.
const looks = async (tab, name) => {
  for (const width of [390, 768, 1440]) {
    for (const colorScheme of ['light', 'dark']) {
      await tab.setViewportSize({ width, height: 900 });
      await tab.emulateMedia({ colorScheme });
      await tab.screenshot({ path: join(options.out, `tabs-${name}-${width}-${colorScheme}.png`), fullPage: true });
      const wrong = await objections(tab);
      const over = await overflow(tab);
      if (over > 0) wrong.push(`${over} px run out of the screen`);
      if (wrong.length > 0) throw new Error(`${name} at ${width} px, ${colorScheme}: ${wrong.join('; ')}`);
    }
  }
  must(true, `${name}: fits and axe finds nothing at 390, 768 and 1440 px, light and dark`);
};

const browser = await chromium.launch({
  ...LAUNCH,
  args: [...LAUNCH.args, '--autoplay-policy=document-user-activation-required', '--renderer-process-limit=40'],
});
const complaints = [];
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ignoreHTTPSErrors: true });
  await context.addInitScript(ears);
  context.on('weberror', (why) => complaints.push(why.error().message));
  const page = async (path) => { const tab = await context.newPage(); await tab.goto(url + path); return tab; };

  const wall = await page('/sign-in');
  await wall.fill('#login', doctor.login);
  await wall.fill('#password', doctor.password);
  await Promise.all([wall.waitForURL((to) => !to.pathname.startsWith('/sign-in')), wall.click('main button[type=submit]')]);
  await wall.waitForSelector('.tile [data-value]');
  const links = await wall.$$eval('.tile h3 a', (found) => found.map((link) => link.getAttribute('href')));
  const open = [];
  for (const link of links) if ((await wall.request.get(url + link)).status() === 200) open.push(link);
  must(open.length > 0, `${open.length} of ${links.length} records can be opened`);
  const charts = [];
  for (let n = 0; n < TABS - 2; n += 1) charts.push(await page(open[n % open.length]));
  const help = await page('/help');
  let tabs = [wall, ...charts, help];
  must(tabs.length === TABS, `${TABS} tabs are open: the wall, ${charts.length} records and Help`);
  await Promise.all(tabs.map((tab) => tab.waitForFunction(() => document.querySelector('#lost').hidden && globalThis.aceso.page.lines > 3, null, { timeout: WAIT_MS })));

  // Sound: chosen once, by an action that the button names; it holds in every tab.
  const sound = (tab) => tab.locator('#sound [data-sound-word]').innerText();
  must((await sound(wall)) === 'Turn alarm sound on', 'the button names what it does');
  await wall.click('#sound');
  await Promise.all(tabs.map((tab) => tab.waitForFunction(() => document.querySelector('[data-sound-word]').textContent === 'Turn alarm sound off')));
  must(true, 'the choice holds in every tab');
  await wall.click('nav a:has-text("Help")');
  await wall.waitForURL('**/help');
  await wall.click('nav a:has-text("Wall")');
  await wall.waitForURL('**/wall');
  await wall.waitForSelector('.tile [data-value]');
  await wall.waitForFunction(() => globalThis.aceso.page.running, null, { timeout: WAIT_MS });
  must((await sound(wall)) === 'Turn alarm sound off', 'the choice outlives going to another page and back');
  // Two more tabs are clicked, so that the browser lets them ring.
  for (const tab of [charts[0], charts[1]]) {
    await tab.mouse.click(720, 500);
    await tab.waitForFunction(() => globalThis.aceso.page.running, null, { timeout: WAIT_MS });
  }

  // A lesser alarm, and a pointer on it: it stays where it is when a high one comes.
  const alarms = (tab) => tab.$$eval('#alarms .alarm', (found) => found.map((node) => `${node.id} ${node.dataset.priority}`));
  const before = await wall.evaluate(() => Object.keys(window.painted));
  const fresh = (tab, priority, wait = ALARM_WAIT_MS) => tab.waitForFunction(
    ([old, wanted]) => Object.keys(window.painted).find((key) => !old.includes(key) && (!wanted || key.split(' ')[1] === wanted)),
    [before, priority], { timeout: wait },
  ).then((found) => found.jsonValue());
  if ((await alarms(wall)).length === 0) {
    await run(options['warning-command']);
    await fresh(wall, null);
  }
  const box = await wall.locator('#alarms .alarm').first().boundingBox();
  const nudge = () => wall.mouse.move(box.x + 4 + Math.random() * 8, box.y + 4 + Math.random() * 8).catch(() => {});
  await nudge();
  const held = await alarms(wall);
  const hovering = setInterval(nudge, 1000);
  await run(options['alarm-command']);
  const key = await fresh(help, 'high');
  const raised = Number(key.split(' ')[2]);
  const painted = await Promise.all(tabs.map((tab) => tab.waitForFunction((wanted) => window.painted[wanted], key, { timeout: WAIT_MS, polling: 200 }).then((at) => at.jsonValue(), () => Infinity)));
  const late = painted.map((at) => at - raised);
  must(Math.max(...late) <= WITHIN_MS, `a high alarm is painted in all ${TABS} tabs within 2 s of being raised: ${late.join(', ')} ms`);
  const titles = await Promise.all(tabs.map((tab) => tab.title()));
  must(titles.every((title) => title.startsWith('High, ')), `and stands in every title: “${titles[0]}”`);
  clearInterval(hovering);
  await wall.screenshot({ path: join(options.out, 'tabs-held.png') });
  must((await alarms(wall)).slice(0, held.length).join() === held.join(), 'nothing moves under the pointer: what is new comes last');
  await wall.mouse.move(700, 850);
  await wall.waitForFunction(() => document.querySelector('#alarms .alarm').dataset.priority === 'high', null, { timeout: WAIT_MS });
  must(true, 'once the pointer is away the most urgent is first');
  // What the stream has put together is what the server would draw now.
  const drawn = (html) => [...html.matchAll(/class="alarm [^>]* id="([^"]+)"/g)].map((found) => found[1]).sort().join();
  for (const tab of [wall, help]) {
    const [server, shown] = await Promise.all([tab.request.get(tab.url()).then((answer) => answer.text()), tab.content()]);
    must(drawn(server) === drawn(shown) && drawn(shown).includes('alarm-'), `${new URL(tab.url()).pathname}: the same alarms as on the page the server draws`);
  }
  await charts[charts.length - 1].screenshot({ path: join(options.out, 'tabs-patient.png'), fullPage: true });

  // At no moment do two ring, and one does. Who it is may change while the machine is busy: a window that does
  // not answer for three seconds is taken over. The analyser looks a tenth of a second back.
  const ringing = async (what) => {
    const heard = await Promise.all(tabs.map((tab) => tab.evaluate((ms) => window.loud(ms), LISTEN_MS)));
    const all = heard.flat();
    const together = all.length - new Set(all).size;
    const found = heard.filter((moments) => moments.length > 0).length;
    must(all.length > 0 && together <= 2 * (found - 1), `${what}: one tab rings (${all.length} tenths of a second heard, ${together} of two tabs at once)`);
    const rings = await Promise.all(tabs.map((tab) => tab.evaluate(() => globalThis.aceso.page.rings)));
    return tabs[rings.indexOf(true)];
  };
  const first = await ringing('an alarm');
  await first.close();
  tabs = tabs.filter((tab) => tab !== first);
  const second = await ringing('the ringing tab is closed');

  // Out of sight for six minutes, while another is seen: that one rings.
  await second.evaluate(() => {
    const real = Date.now.bind(Date);
    let ahead = 0;
    Date.now = () => real() + ahead;
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'));
    ahead = 6 * 60_000;
  });
  await second.waitForFunction(() => !globalThis.aceso.page.rings, null, { timeout: WAIT_MS });
  const third = await ringing('out of sight for six minutes');
  must(third !== second, 'and it is another one');

  // Frozen: nothing in it runs any more, and it holds nothing up.
  const devtools = await context.newCDPSession(third);
  await devtools.send('Debugger.enable');
  const frozen = new Promise((done) => { devtools.once('Debugger.paused', done); });
  await devtools.send('Debugger.pause');
  await frozen;
  const begun = Date.now();
  await Promise.any(tabs.filter((tab) => tab !== third).map((tab) => tab.waitForFunction(() => globalThis.aceso.page.rings, null, { timeout: WAIT_MS })));
  must(true, `a frozen tab is taken over after ${Date.now() - begun} ms`);
  await devtools.send('Debugger.resume');
  await devtools.detach();
  await ringing('when it wakes');

  // The next tab answers, and its alarms are there.
  const opened = Date.now();
  const next = await page('/wall');
  await next.waitForFunction(() => globalThis.aceso.page.lines > 3 && document.querySelector('#lost').hidden, null, { timeout: WAIT_MS });
  must((await next.locator('#alarms .alarm.high').count()) > 0, `one more tab answers, live after ${Date.now() - opened} ms`);
  tabs.push(next);

  // No window that may ring is left: the rest say so. (A page that the check has asked something may ring, as
  // if somebody had touched it: Help is opened again.)
  for (const tab of tabs.filter((each) => each !== next)) await tab.close();
  const help2 = await page('/help');
  tabs = [next, help2];
  await next.waitForSelector('#silent:not([hidden])', { timeout: WAIT_MS });
  must(/Sound is off in this window/.test(await next.locator('#silent').innerText()), 'when no window may ring, it is said');
  await looks(next, 'silent');
  await looks(help2, 'help');
  await next.click('#sound-again');
  await next.waitForSelector('#silent', { state: 'hidden', timeout: WAIT_MS });
  await ringing('one tap');

  // A server that holds its connections open and says nothing.
  if (options['stop-command']) {
    await run(options['stop-command']);
    try {
      const said = await Promise.all(tabs.map((tab) => tab.waitForFunction(() => window.silentFor, null, { timeout: WAIT_MS, polling: 100 }).then((ms) => ms.jsonValue())));
      must(Math.max(...said) <= WITHIN_MS + 600, `a silent connection is reported in every tab: after ${said.join(', ')} ms of silence`);
      must((await next.title()).startsWith('Connection lost'), 'and in the title');
      const button = next.locator('.alarm form[action$="/acknowledge"] button').first();
      must((await button.getAttribute('aria-disabled')) === 'true', 'Acknowledge says that it does nothing');
      const sent = [];
      next.on('request', (request) => { if (request.method() === 'POST') sent.push(request.url()); });
      await button.click({ force: true });
      must(/nothing was sent/.test(await next.locator('#undone').innerText()) && sent.length === 0, 'and sends nothing');
      await looks(next, 'lost');
    } finally {
      await run(options['go-command']);
    }
    await Promise.all(tabs.map((tab) => tab.waitForSelector('#lost', { state: 'hidden', timeout: WAIT_MS })));
    must((await next.locator('.alarm form[action$="/acknowledge"] button[aria-disabled]').count()) === 0, 'it comes back by itself');
  }

  // A record left alone closes; the clock of the page is moved.
  const chart = await page(open[0]);
  await chart.waitForFunction(() => globalThis.aceso.page.lines > 3 && globalThis.aceso.plots().length > 0, null, { timeout: WAIT_MS });
  const joined = await chart.evaluate(() => {
    const { p, metric, at } = { p: document.querySelector('#now').dataset.patient, metric: globalThis.aceso.plots()[0].metric, at: Date.now() + 60_000 };
    const send = (r) => document.dispatchEvent(new CustomEvent('aceso:values', { detail: { p, now: at + 20_000, index: 0, steps: 1, r } }));
    send([[metric, at, 680], [metric, at + 2000, null], [metric, at + 4000, 1710]]);
    return new Promise((done) => { setTimeout(() => done(globalThis.aceso.plots()[0].means.slice(-3)), 1500); });
  });
  must(joined[0] === 68 && joined[1] === null && joined[2] === 171, `“no value” breaks the curve: ${JSON.stringify(joined)}`);
  await chart.evaluate(() => { const real = Date.now.bind(Date); Date.now = () => real() + 15 * 60_000 + 1000; });
  await chart.waitForSelector('#alone:not([hidden])', { timeout: WAIT_MS });
  must((await chart.locator('#now, .pt, canvas').count()) === 0, 'a record left alone for 15 minutes has closed, without its values');
  must((await chart.locator('#alarms').count()) === 1 && (await chart.locator('#lost').isHidden()), 'its alarm strip stays, and is live');
  await looks(chart, 'alone');
  for (const link of links.filter((one) => !open.includes(one)).slice(0, 1)) {
    const closed = await page(link);
    must(/no consent of this patient lets you read it/.test(await closed.locator('main').innerText()), 'a bed that the doctor may not open says what and how');
    await closed.waitForFunction(() => document.querySelectorAll('#alarms .alarm').length > 0, null, { timeout: WAIT_MS });
    await looks(closed, 'record-closed');
  }

  // One page signs out: the end of the session covers all of them.
  const record = await page(open[0]);
  await record.waitForFunction(() => globalThis.aceso.page.lines > 3 && document.querySelector('#now'), null, { timeout: WAIT_MS });
  await help2.click('form[action="/sign-out"] button');
  for (const tab of [record, next]) await tab.waitForSelector('#ended:not([hidden])', { timeout: WAIT_MS });
  must((await record.locator('#now, .pt, canvas').count()) === 0 && (await next.locator('.tile, .alarm').count()) === 0, 'the end of the session covers every page');
  must(/no alarm rings here any more/.test(await next.locator('#silent').innerText()), 'and says that no alarm rings any more');

  await run(options['alarm-clear']);
  must(complaints.length === 0, `no script error${complaints.length ? `: ${complaints.join('; ')}` : ''}`);
  console.log(`${checks} checks of tabs passed`);
} catch (why) {
  console.log(`not ok tabs: ${why.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
