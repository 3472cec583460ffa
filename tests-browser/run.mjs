// What a doctor and a patient see, in a real Chromium.
//
//   node run.mjs --url URL --logins FILE.json --out DIR [--alarm-command CMD] [--alarm-clear CMD]
//     [--stall-command CMD --stall-end CMD]
//
// FILE.json: {"doctor":{"login":"…","password":"…"},"patient":{…},"administrator":{…}}
// The alarm's CMD must make an alarm begin for a patient on the wall; it may end at once or stay. The
// stall's must stop the ledger and let it go on; without it, this script sends the page the events of a stall.
// Every check prints a line; the status is 1 if one fails.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { LAUNCH, drawn, objections, overflow, ownLine, signIn as signInAt } from './pages.mjs';

const ALARM_WITHIN_MS = 1000;
const ALARM_WAIT_MS = 60_000;
const CHANGE_WAIT_MS = 15_000;
// The ledger's view is old after a minute; the page hears it within five seconds.
const STALL_WAIT_MS = 90_000;
const SIZES = [{ width: 390, height: 844 }, { width: 1440, height: 900 }];
// Between them, only whether everything fits.
const TABLET = { width: 768, height: 1024 };

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' }, logins: { type: 'string' }, out: { type: 'string' },
    'alarm-command': { type: 'string' }, 'alarm-clear': { type: 'string' },
    'stall-command': { type: 'string' }, 'stall-end': { type: 'string' },
  },
});
for (const name of ['url', 'logins', 'out']) if (!options[name]) throw new Error(`--${name} is missing`);
const url = options.url.replace(/\/$/, '');
const logins = JSON.parse(readFileSync(options.logins, 'utf8'));
mkdirSync(options.out, { recursive: true });

let checks = 0;
const said = (text) => { checks += 1; console.log(`ok ${checks} ${text}`); };
const must = (holds, text) => { if (!holds) throw new Error(text); said(text); };

let failed = 0;
// Looks of a page: noted, and the run goes on, so that one run names them all.
const should = (holds, text) => {
  if (holds) return said(text);
  failed += 1;
  process.exitCode = 1;
  console.log(`not ok ${text}`);
};

const browser = await chromium.launch(LAUNCH);
const complaints = [];
const foreign = new Set();

async function visit(settings = {}) {
  const context = await browser.newContext({ viewport: SIZES[1], colorScheme: 'dark', timezoneId: 'Europe/Berlin', ignoreHTTPSErrors: true, ...settings });
  const page = await context.newPage();
  page.on('pageerror', (why) => complaints.push(`script error: ${why.message}`));
  page.on('console', (line) => { if (line.type() === 'error' && !/status of 40[014]|status of 422|htmx:(sendAbort|sendError|afterRequest)/.test(line.text())) complaints.push(`console: ${line.text()}`); });
  page.on('request', (request) => { if (!request.url().startsWith(url) && !request.url().startsWith('data:')) foreign.add(request.url()); });
  return { context, page };
}

const signIn = (page, who) => signInAt(page, url, who);

async function accessible(page, name) {
  const list = await objections(page);
  should(list.length === 0, `${name}: axe finds nothing${list.length ? `, but:\n  ${list.join('\n  ')}` : ''}`);
}

async function fits(page, name) {
  const over = await overflow(page);
  should(over <= 0, `${name}: nothing runs out of the screen${over > 0 ? ` (${over} px)` : ''}`);
}

// Every look of a page: each size in light and dark, side by side, signed in once.
async function pictures(who, pages) {
  let state;
  if (who) {
    const { context, page } = await visit();
    await signIn(page, who);
    state = await context.storageState();
    await context.close();
  }
  const looks = SIZES.flatMap((viewport) => ['light', 'dark'].map((colorScheme) => ({ viewport, colorScheme })));
  const between = async () => {
    const { context, page } = await visit({ viewport: TABLET, storageState: state });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(url + path, { waitUntil: 'load' });
      await drawn(page, CHANGE_WAIT_MS);
      await fits(page, `${name} at ${TABLET.width} px`);
    }
    await context.close();
  };
  await Promise.all([between(), ...looks.map(async (look) => {
    const { context, page } = await visit({ ...look, storageState: state });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(url + path, { waitUntil: 'load' });
      await drawn(page, CHANGE_WAIT_MS);
      const { viewport: { width }, colorScheme } = look;
      await page.screenshot({ path: join(options.out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      await fits(page, `${name} at ${width} px, ${colorScheme}`);
      await accessible(page, `${name} at ${width} px, ${colorScheme}`);
    }
    await context.close();
  })]);
}

const run = (command) => new Promise((done) => { spawn('/bin/sh', ['-c', command], { stdio: 'inherit' }).on('close', done); });

async function changes(page, selector, name) {
  const before = await page.locator(selector).allTextContents();
  await page.waitForFunction(
    ([where, old]) => JSON.stringify([...document.querySelectorAll(where)].map((node) => node.textContent)) !== old,
    [selector, JSON.stringify(before)], { timeout: CHANGE_WAIT_MS },
  );
  said(`${name}: values change by themselves`);
}

try {
  // A wrong password says so, and nothing more.
  {
    const { context, page } = await visit();
    await page.goto(`${url}/wall`);
    must(new URL(page.url()).pathname === '/sign-in', 'the wall asks to sign in first');
    await page.fill('#login', logins.doctor.login);
    await page.fill('#password', 'certainly wrong');
    await page.click('main button[type=submit]');
    await page.waitForSelector('[role=alert] b');
    must(/wrong|wait/i.test(await page.locator('#problem').innerText()), 'a wrong password is explained in a sentence');
    await context.close();
  }

  // The doctor: wall, alarm, patient, proof.
  const doctor = await visit();
  await signIn(doctor.page, logins.doctor);
  must(new URL(doctor.page.url()).pathname === '/wall', 'the doctor lands on the wall');
  await doctor.page.waitForSelector('.tile [data-value]');
  must((await doctor.page.locator('.tile').count()) > 0, 'patients are on the wall');
  await changes(doctor.page, '.tile [data-value]', 'wall');
  await doctor.page.waitForSelector('.proof[data-steps="3"]', { timeout: ALARM_WAIT_MS, state: 'attached' })
    .then(() => said('wall: a value becomes final while the page is open'), () => must(false, 'wall: a value becomes final'));

  if (options['alarm-command']) {
    // Watches for alarms that are not there yet, and notes the moment each is painted.
    await doctor.page.evaluate(() => {
      const known = new Set([...document.querySelectorAll('.alarm')].map((node) => node.id + node.dataset.raisedMs));
      window.seenAlarm = new Promise((done) => {
        const look = () => {
          const fresh = [...document.querySelectorAll('.alarm')].find((node) => !known.has(node.id + node.dataset.raisedMs));
          if (fresh) requestAnimationFrame(() => done({ raised: Number(fresh.dataset.raisedMs), shown: Date.now(), what: fresh.querySelector('.what').textContent, priority: fresh.dataset.priority, shout: document.querySelector('#shout').textContent }));
          else setTimeout(look, 5);
        };
        look();
      });
    });
    const running = run(options['alarm-command']);
    const alarm = await Promise.race([
      doctor.page.evaluate(() => window.seenAlarm),
      new Promise((_, no) => { setTimeout(() => no(new Error('no alarm came to the wall')), ALARM_WAIT_MS).unref(); }),
    ]);
    await Promise.race([running, new Promise((go) => { setTimeout(go, 1000).unref(); })]);
    const late = alarm.shown - alarm.raised;
    must(late < ALARM_WITHIN_MS, `wall: an alarm (${alarm.priority}) is shown ${late} ms after it was raised`);
    if (alarm.priority === 'high') must(alarm.shout.length > 0, 'a high alarm is announced to screen readers at once');
    await doctor.page.screenshot({ path: join(options.out, 'wall-alarm.png'), fullPage: true });
    // The alarm that was just raised can be acknowledged, and then shows who did.
    const unanswered = '.alarm.unacked:has(form[action$="/acknowledge"])';
    must((await doctor.page.locator(unanswered).count()) > 0, 'an alarm that nobody answered has a button for it');
    const key = await doctor.page.locator(unanswered).first().getAttribute('id');
    const acknowledge = doctor.page.locator(`#${key} form[action$="/acknowledge"] button`);
    const undone = doctor.page.locator('#undone');
    await doctor.page.route('**/acknowledge', (route) => route.abort());
    await acknowledge.click();
    await undone.waitFor({ timeout: CHANGE_WAIT_MS });
    must(/did not reach the server/.test(await undone.innerText()), 'an acknowledgement that did not reach the server is reported');
    await doctor.page.unroute('**/acknowledge');
    await acknowledge.click();
    await doctor.page.waitForFunction(
      ([id, owner]) => document.getElementById(id)?.textContent.includes(`· owner ${owner}`),
      [key, logins.doctor.name || ''], { timeout: CHANGE_WAIT_MS },
    );
    said('an acknowledged alarm shows its owner');
    await undone.waitFor({ state: 'hidden', timeout: CHANGE_WAIT_MS });
    said('and the report goes once it has arrived');
    if (options['alarm-clear']) await run(options['alarm-clear']);
  }

  const patientHref = await openablePatient(doctor.page);
  await doctor.page.goto(url + patientHref);
  await doctor.page.waitForSelector('.uplot canvas');
  must((await doctor.page.locator('.uplot canvas').count()) >= 2, 'the patient page draws its curves');
  await changes(doctor.page, '#now [data-value], #now [data-age-ms]', 'patient page');
  await doctor.page.click('.seg a:has-text("1 h")');
  await doctor.page.waitForSelector('.seg a[aria-current]:has-text("1 h")');
  await doctor.page.waitForSelector('#trends.drawn .uplot canvas');
  said('another range is drawn without leaving the page');
  // Limits that do not fit: the reason stands in the form, and is in view.
  await doctor.page.locator('#limits details summary').first().click();
  const form = doctor.page.locator('#limits form.limitform').first();
  await form.locator('[name=above_low]').fill('400');
  await form.locator('[name=reason]').fill('a check of the form');
  await form.locator('button[type=submit]').click();
  await doctor.page.waitForSelector('#limits-problem');
  const arrived = await doctor.page.locator('#alarms').innerText();
  must(!/not shown here/.test(arrived), 'the page that refuses limits shows the alarms of the ward, as the one before');
  // What is drawn and brought after the page was scrolled does not move the reason out of view.
  await drawn(doctor.page, CHANGE_WAIT_MS);
  await doctor.page.waitForFunction(() => globalThis.aceso.page.lines > 0, null, { timeout: CHANGE_WAIT_MS });
  const reason = await doctor.page.locator('#limits form.limitform #limits-problem').evaluate((node) => {
    const { top, bottom } = node.getBoundingClientRect();
    return { focused: node === document.activeElement, top, bottom, height: innerHeight };
  });
  must(reason.focused && reason.top >= 0 && reason.bottom <= reason.height,
    `why limits do not fit is said in their form, has the focus and is in view: ${JSON.stringify(reason)}`);
  await doctor.page.goto(url + patientHref);
  await doctor.page.waitForSelector('#trends.drawn .uplot canvas');
  // Paper is light, whatever theme was chosen.
  await doctor.page.evaluate(() => { document.documentElement.dataset.theme = 'dark'; });
  const back = () => doctor.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  must((await back()) === 'rgb(11, 18, 32)', 'the dark theme is dark');
  await doctor.page.emulateMedia({ media: 'print' });
  must((await back()) === 'rgb(243, 246, 251)', 'and light on paper');
  await doctor.page.emulateMedia({ media: null });
  await doctor.page.locator('#now .proof').first().click();
  await doctor.page.waitForSelector('.chain li.ok');
  said('a value leads to its proof');

  // The patient: own values, and the doctor's reading in the log.
  const patient = await visit();
  await signIn(patient.page, logins.patient);
  must(new URL(patient.page.url()).pathname === '/me', 'the patient lands on the own page');
  await patient.page.waitForSelector('#now [data-value]');
  await changes(patient.page, '#now [data-value], #now [data-age-ms]', 'own page');
  const log = await patient.page.locator('#access').innerText();
  must(/looked at your/.test(log) && log.includes(logins.doctor.name || ''), 'the doctor’s reading stands in the patient’s log');
  const theirs = await doctor.page.request.get(`${url}/me`);
  must(theirs.status() === 404, 'the doctor has no page of their own record');
  const walled = await patient.page.request.get(`${url}/wall`);
  must(walled.status() === 404, 'the patient finds no wall');

  // A lost connection is reported, and old values are struck through.
  const lost = async () => {
    const { context, page } = await visit();
    await ownLine(context);
    await signIn(page, logins.doctor);
    await context.route('**/live?*', (route) => route.abort());
    await page.goto(`${url}/wall`);
    await page.waitForSelector('.tile [data-value]');
    await page.waitForSelector('#lost:not([hidden])', { timeout: 40_000 });
    const struck = await page.locator('.tile .v:not([data-at-ms="0"])').evaluateAll((found) => found.map((cell) => cell.classList.contains('stale')));
    must(struck.length > 0 && struck.every(Boolean), 'a lost connection is reported, and old values are struck through');
    await page.screenshot({ path: join(options.out, 'wall-lost.png') });
    await context.unroute('**/live?*');
    await page.waitForSelector('#lost', { state: 'hidden', timeout: 40_000 });
    said('the connection comes back by itself');
    await context.close();
  };

  // An open page shows that the ledger stands still, and that it moves again, without a reload.
  const halted = async () => {
    const { context, page } = await visit({ viewport: SIZES[0] });
    await ownLine(context);
    await signIn(page, logins.doctor);
    await page.waitForSelector('.tile [data-value]');
    must(await page.locator('#halt').isHidden(), 'while the ledger moves, nothing is said of it');
    if (options['stall-command']) await run(options['stall-command']);
    else await hears(page, context, true);
    await page.waitForSelector('#halt:not([hidden])', { timeout: STALL_WAIT_MS });
    const text = await page.locator('#halt').innerText();
    must(/stands still/.test(text) && /\d+ (s|min) old/.test(text) && /Alarms/.test(text), 'an open page says that the ledger stands still, since when, and what goes on');
    await page.screenshot({ path: join(options.out, 'wall-halt.png') });
    await fits(page, 'the wall with a halt');
    await accessible(page, 'the wall with a halt');
    if (options['stall-end']) await run(options['stall-end']);
    else await hears(page, context, false);
    await page.waitForSelector('#halt', { state: 'hidden', timeout: STALL_WAIT_MS });
    said('the halt goes from the page by itself');
    await context.close();
  };

  // Without JavaScript.
  const withoutScript = async () => {
    const plain = await visit({ javaScriptEnabled: false });
    await signIn(plain.page, logins.doctor);
    must((await plain.page.locator('.tile').count()) > 0, 'without JavaScript: the wall is there');
    await plain.page.goto(url + patientHref);
    must((await plain.page.locator('figure.plot svg polyline').count()) > 0, 'without JavaScript: the curves are there');
    await plain.page.click('.seg a:has-text("8 h")');
    must((await plain.page.locator('.seg a[aria-current]').innerText()).includes('8 h'), 'without JavaScript: ranges can be chosen');
    const text = await plain.page.locator('main, noscript').allInnerTexts();
    must(!/\d+ (s|min) ago/.test(text.join(' ')) && /at \d\d:\d\d:\d\d UTC/.test(text.join(' ')), 'without JavaScript: values say when they were measured, not an age that stands still');
    await plain.page.screenshot({ path: join(options.out, 'patient-nojs.png'), fullPage: true });
    await plain.page.goto(`${url}/wall`);
    must((await plain.page.locator('head meta[http-equiv=refresh][content="15"]').count()) === 1, 'without JavaScript: the wall reloads itself every 15 seconds');
    await plain.page.screenshot({ path: join(options.out, 'wall-nojs.png'), fullPage: true });
    await plain.context.close();
  };

  // The browser remembers the newest block it saw, and says when the ledger ends before it or shows another.
  const witness = async () => {
    const { context, page } = await visit();
    await signIn(page, logins.doctor);
    await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.startsWith('aceso.witness.')));
    // From a page that runs no script: an open one would soon remember a newer block.
    const remember = async (change) => {
      await page.goto(new URL(await page.locator('script[src*="witness"]').getAttribute('src'), url).href);
      await page.evaluate((change) => {
        const key = Object.keys(localStorage).find((key) => key.startsWith('aceso.witness.'));
        localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key)), ...change }));
      }, change);
    };
    const shown = (id) => page.waitForSelector(`${id}:not([hidden])`, { timeout: CHANGE_WAIT_MS });
    await page.reload();
    await page.waitForFunction(() => {
      const key = Object.keys(localStorage).find((key) => key.startsWith('aceso.witness.'));
      return JSON.parse(localStorage.getItem(key)).height >= Number(document.body.dataset.height);
    });
    must(await page.locator('#behind').isHidden() && await page.locator('#split').isHidden(), 'while the ledger goes on there is no warning');
    const before = await page.evaluate(() => ({ height: Number(document.body.dataset.height), digest: document.body.dataset.digest }));
    await remember({ height: 900_000_000 });
    await page.goto(`${url}/help`);
    await shown('#behind');
    must((await page.locator('#behind').innerText()).includes('900,000,000'), 'a ledger that ends before the block seen is reported, with that block');
    await page.screenshot({ path: join(options.out, 'ledger-behind.png') });
    await accessible(page, 'ledger behind');
    await remember(before);
    await page.goto(`${url}/wall`);
    await page.waitForFunction((before) => {
      const key = Object.keys(localStorage).find((key) => key.startsWith('aceso.witness.'));
      return JSON.parse(localStorage.getItem(key)).height > before.height;
    }, before);
    must(await page.locator('#behind').isHidden() && await page.locator('#split').isHidden(), 'a node that has caught up is no longer reported');
    await remember({ ...before, digest: 'ab'.repeat(32) });
    await page.goto(`${url}/wall`);
    await shown('#split');
    must((await page.locator('#split').innerText()).includes('abababab…abababab'), 'another block in place of the one seen is reported, with both digests');
    await page.screenshot({ path: join(options.out, 'ledger-split.png') });
    await accessible(page, 'ledger split');
    await page.goto(`${url}/help`);
    await shown('#split');
    said('a ledger with two pasts is reported on every page from then on');
    await context.close();
  };

  await doctor.page.goto(`${url}/wall`);
  const proof = await doctor.page.locator('.tile .proof').first().getAttribute('href');
  await Promise.all([lost(), withoutScript(), witness(), halted()]);
  await pictures(null, { 'sign-in': '/sign-in' });
  await pictures(logins.doctor, { wall: '/wall', patient: patientHref, 'not-found': '/nothing-here', help: '/help', proof });
  await pictures(logins.patient, { me: '/me' });
  if (logins.administrator) {
    // The administrator reads the ledger: from the list to a block to a transaction, and finds it again.
    const admin = await visit({ javaScriptEnabled: false });
    await signIn(admin.page, logins.administrator);
    await admin.page.click('nav[aria-label=Main] a:has-text("Ledger")');
    must((await admin.page.locator('.blk').count()) > 0, 'without JavaScript: blocks are listed');
    await admin.page.locator('.blk:not(.quiet) .h a').first().click();
    const block = new URL(admin.page.url()).pathname;
    await admin.page.locator('main ol a.mono').first().click();
    const transaction = new URL(admin.page.url()).pathname;
    must((await admin.page.locator('.verdict').count()) === 1, 'a block leads to a transaction and its outcome');
    await admin.page.goto(`${url}/ledger`);
    await admin.page.fill('#find', transaction.split('/').pop());
    await admin.page.click('form[role=search] button');
    must(new URL(admin.page.url()).pathname === transaction, 'a transaction is found by its name');
    await proposal(admin.page);
    await invitation(admin.page);
    await admin.context.close();
    const closed = await doctor.page.request.get(`${url}/ledger`);
    must(closed.status() === 404, 'the doctor finds no ledger');
    await pictures(logins.administrator, { admin: '/admin', people: '/admin/people', invite: '/admin/people/invite', ledger: '/ledger', 'ledger-search': '/ledger?find=nonsense', 'ledger-nobody': `/ledger?org=${'0'.repeat(32)}`, authorities: '/ledger/authorities', block, transaction });
  }

  must(foreign.size === 0, `no request went to another origin${foreign.size ? `: ${[...foreign]}` : ''}`);
  const real = complaints.filter((line) => !/net::ERR_FAILED|net::ERR_ABORTED/.test(line));
  must(real.length === 0, `no script error, no violation of the page’s policy${real.length ? `: ${real.join('; ')}` : ''}`);
  console.log(failed ? `${failed} checks failed, ${checks} passed` : `${checks} checks passed`);
} catch (why) {
  console.log(`not ok ${why.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

// Stands in for the live stream: a real stall is noticed only after a minute.
async function hears(page, context, stale) {
  await context.unroute('**/live?*');
  await context.route('**/live?*', (route) => {
    const now = Date.now();
    const beat = JSON.stringify({ now, stale, tip: stale ? now - 75_000 : now });
    route.fulfill({ contentType: 'text/event-stream', body: `event: beat\ndata: ${beat}\n\n` });
  });
  if (stale) await page.reload();
}

// Somebody is invited, makes the account, and is suspended; nobody has JavaScript.
async function invitation(page) {
  await page.goto(`${url}/admin/people/invite`);
  await page.check('input[name=role][value=auditor]');
  await page.fill('#name', 'Avery Browser');
  await page.click('main form button[type=submit]');
  const person = page.url();
  const link = await page.locator('main input[readonly]').inputValue();
  await page.goto(person);
  must((await page.locator('main input[readonly]').count()) === 0, 'a link is shown once');
  // Until the ledger has a block, the first page answers 503: its own page says so, and nobody has to hear of it.
  const context = await browser.newContext({ viewport: SIZES[0], javaScriptEnabled: false, ignoreHTTPSErrors: true });
  const invited = await context.newPage();
  await invited.goto(link);
  must(/an auditor/.test(await invited.locator('main').innerText()), 'an invitation says in which role');
  for (const [field, text] of [['name', 'Avery Browser'], ['login', 'avery-browser'], ['password', 'a secret word'], ['again', 'a secret word']]) {
    await invited.fill(`#${field}`, text);
  }
  await invited.click('main form button[type=submit]');
  must(new URL(invited.url()).pathname === '/ledger', 'whoever takes an invitation up is signed in');
  const used = await invited.request.get(link);
  must(used.status() === 404, 'a link that was used does not work');
  await page.goto(person);
  await page.fill('#reason', 'only a test');
  await page.click(`main form[action$="/suspend"] button`);
  must(/suspended/.test(await page.locator('main').innerText()), 'an account is suspended with a reason');
  await invited.goto(`${url}/ledger`);
  must(new URL(invited.url()).pathname === '/sign-in', 'and its session has ended');
  await context.close();
}

// A proposal is shown in full before anything is sent, a wrong one leads back, and Cancel changes nothing.
async function proposal(page) {
  const fill = async (key, endpoint) => {
    await page.goto(`${url}/ledger/authorities`);
    await page.locator('details.propose').evaluate((details) => { details.open = true; });
    await page.fill('#key', key);
    await page.fill('#endpoint', endpoint);
    await page.click('details.propose button');
  };
  const key = 'ab'.repeat(32);
  await fill('no key', 'ledger.hospital.example:9000');
  must(/64 hexadecimal digits/.test(await page.locator('main').innerText()), 'a wrong proposal comes back with what is wrong');
  await page.click('main a:has-text("Back to Authorities")');
  must(new URL(page.url()).pathname === '/ledger/authorities', 'and leads back to where it was made');
  for (const viewport of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await fill(key, 'ledger.north-valley-general-hospital.example:9000');
      await page.screenshot({ path: join(options.out, `proposal-${viewport.width}-${colorScheme}.png`), fullPage: true });
      await fits(page, `a proposal at ${viewport.width} px, ${colorScheme}`);
    }
  }
  const text = await page.locator('main').innerText();
  must(/Propose this change\?/.test(text) && text.includes(key) && text.includes('north-valley'), 'a proposal is shown in full before it is sent');
  await page.click('main a:has-text("Cancel")');
  must(!(await page.locator('main').innerText()).includes(key.slice(0, 6)), 'after Cancel nothing is proposed');
}

// The first patient of the wall whose record the doctor may open.
async function openablePatient(page) {
  const links = await page.locator('.tile h3 a').evaluateAll((found) => found.map((link) => link.getAttribute('href')));
  for (const link of links) {
    const answer = await page.request.get(url + link);
    if (answer.status() === 200 && (await answer.text()).includes('class="plot"')) return link;
  }
  throw new Error('no patient of the wall can be opened');
}
