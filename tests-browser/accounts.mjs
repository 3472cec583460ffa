// A node with an empty folder becomes a hospital on its pages alone: the code that it prints makes the first
// administrator, who invites a doctor and a patient; both make their accounts; the doctor is suspended and reinstated.
//
//   node accounts.mjs --node PROGRAM --out DIR
//
// PROGRAM is `aceso`. The administrator has a keyboard and no mouse, the doctor's account is made without JavaScript.
// Every check prints a line; the status is 1 if one fails.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { LAUNCH, objections, overflow, ownLine, signIn } from './pages.mjs';

const WAIT_MS = 60_000;
const TABS_MAX = 80;
const SIZES = [{ width: 390, height: 844 }, { width: 1440, height: 900 }];
const ADA = { login: 'ada', name: 'Ada Demo', password: 'a secret word' };
const LEE = { login: 'lee', name: 'Dr Lee Demo', password: 'another secret word' };
const NOOR = { login: 'noor', name: 'Noor Sample', password: 'a third secret word' };

const { values: options } = parseArgs({ options: { node: { type: 'string' }, out: { type: 'string' } } });
for (const name of ['node', 'out']) if (!options[name]) throw new Error(`--${name} is missing`);
mkdirSync(options.out, { recursive: true });

let checks = 0;
const must = (holds, text) => {
  if (!holds) throw new Error(text);
  checks += 1;
  console.log(`ok ${checks} ${text}`);
};

const folder = mkdtempSync(join(tmpdir(), 'aceso-accounts-'));
const config = join(folder, 'node.toml');
writeFileSync(join(folder, 'passphrase'), 'correct horse\n');
writeFileSync(config, [
  `data_dir = "${join(folder, 'node')}"`, `passphrase_file = "${join(folder, 'passphrase')}"`,
  'name = "North Valley General Hospital"', 'web = "127.0.0.1:0"', 'mqtt = "127.0.0.1:0"', '',
].join('\n'));
const node = spawn(options.node, ['node', '--config', config], { stdio: ['ignore', 'pipe', 'ignore'] });
const ended = new Promise((done) => { node.once('exit', done); });
const printed = createInterface(node.stdout)[Symbol.asyncIterator]();
const line = async () => {
  const late = new Promise((_, no) => { setTimeout(() => no(new Error('the node printed nothing')), WAIT_MS).unref(); });
  const { value, done } = await Promise.race([printed.next(), late]);
  if (done) throw new Error('the node ended');
  return value;
};

let browser;
const complaints = [];

async function visit(settings = {}) {
  const context = await browser.newContext({ viewport: SIZES[1], ...settings });
  await ownLine(context);
  const page = await context.newPage();
  page.on('pageerror', (why) => complaints.push(`script error: ${why.message}`));
  page.on('console', (said) => {
    if (said.type() === 'error' && !/status of (40[0134]|422|503)/.test(said.text())) complaints.push(said.text());
  });
  return page;
}

// The state of the page in every look; axe-core sees the narrow light and the wide dark one.
async function looks(page, name) {
  for (const viewport of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      const look = `${name} at ${viewport.width} px, ${colorScheme}`;
      await page.screenshot({ path: join(options.out, `${name}-${viewport.width}-${colorScheme}.png`), fullPage: true });
      must((await overflow(page)) <= 0, `${look}: nothing runs out of the screen`);
      if ((viewport === SIZES[0]) === (colorScheme === 'light')) {
        const list = await objections(page);
        must(list.length === 0, `${look}: axe finds nothing${list.length ? `, but:\n  ${list.join('\n  ')}` : ''}`);
      }
    }
  }
}

async function tabTo(page, selector) {
  for (let pressed = 0; pressed < TABS_MAX; pressed += 1) {
    if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`no key leads to ${selector}`);
}

async function type(page, fields) {
  for (const [id, text] of Object.entries(fields)) {
    await tabTo(page, `#${id}`);
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type(text);
  }
}

async function press(page, selector) {
  await tabTo(page, selector);
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
}

const text = (page) => page.locator('main').innerText();
const path = (page) => new URL(page.url()).pathname;
const valueOf = (page, id) => page.locator(`#${id}`).inputValue();

// A new account finds nothing until the ledger has a block with it: the page says so and is loaded again.
async function opened(page, address) {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const answer = await page.goto(address);
    if (answer.status() === 200) return;
    const said = await text(page);
    if (answer.status() !== 503 || Date.now() > until) throw new Error(`${address}: ${answer.status()} ${said}`);
    await page.waitForTimeout(200);
  }
}

async function choose(page, role) {
  await tabTo(page, 'input[name=role]');
  await page.keyboard.press('Space');
  for (let pressed = 0; (await page.locator('input[name=role]:checked').inputValue()) !== role; pressed += 1) {
    if (pressed > 10) throw new Error(`no key leads to the role ${role}`);
    await page.keyboard.press('ArrowDown');
  }
}

async function fill(page, fields) {
  for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, value);
  await Promise.all([page.waitForEvent('load'), page.click('main form button[type=submit]')]);
}

try {
  const ready = await line();
  if (!ready.startsWith('READY ')) throw new Error(`the node said: ${ready}`);
  const url = `http://${JSON.parse(ready.slice('READY '.length)).web}`;
  const offer = await line();
  must(offer.includes(`${url}/set-up`), 'a node with an empty folder prints where it is set up');
  const code = offer.split(' ').pop();
  browser = await chromium.launch(LAUNCH);

  // The first administrator, by the keyboard.
  const admin = await visit();
  await admin.goto(`${url}/sign-in`);
  await press(admin, 'a[href="/set-up"]');
  must(path(admin) === '/set-up', 'signing in leads to setting up while nobody has an account');
  await looks(admin, 'set-up');
  const chosen = { name: ADA.name, login: ADA.login, password: ADA.password, again: ADA.password };
  await type(admin, { code: '00000-00000-00000-00000', ...chosen });
  await press(admin, 'main form button[type=submit]');
  must(/not the code that the node printed/.test(await text(admin)), 'a guessed code is refused in a sentence');
  must((await valueOf(admin, 'name')) === ADA.name && (await valueOf(admin, 'login')) === ADA.login
    && (await valueOf(admin, 'password')) === '', 'what was typed is kept, passwords are not');
  await looks(admin, 'set-up-refused');
  await type(admin, { code: code.toLowerCase(), password: ADA.password, again: ADA.password });
  await press(admin, 'main form button[type=submit]');
  must(path(admin) !== '/set-up', 'the printed code makes the first administrator');
  await opened(admin, `${url}/admin/people`);
  await looks(admin, 'people-first');
  const second = await visit();
  await second.goto(`${url}/set-up`);
  must(path(second) === '/sign-in' && !/set-up/.test(await second.content()), 'and nobody makes a second one with it');

  // Invitations: a doctor's, and a patient's with a slip.
  const invite = async (who, role, bed = '') => {
    await admin.goto(`${url}/admin/people/invite`);
    await choose(admin, role);
    await type(admin, { name: who.name });
    if (role === 'patient') {
      await press(admin, 'main form button[type=submit]');
      must(/needs a bed/.test(await text(admin)) && (await valueOf(admin, 'name')) === who.name,
        'a patient without a bed is not invited, and the form keeps what was typed');
      await looks(admin, 'invite-refused');
      await type(admin, { bed });
    }
    await press(admin, 'main form button[type=submit]');
    return { page: admin.url(), link: await admin.locator('main input[readonly]').inputValue() };
  };
  const doctor = await invite(LEE, 'clinician');
  await looks(admin, 'person-link');
  const patient = await invite(NOOR, 'patient', 'Bed 4');
  await opened(admin, `${url}/admin/people`);
  await looks(admin, 'people-invited');

  // The doctor's account, without JavaScript.
  const plain = await visit({ javaScriptEnabled: false });
  await plain.goto(doctor.link);
  must(/a clinician/.test(await text(plain)), 'without JavaScript: an invitation says in which role');
  const lee = { name: LEE.name, login: LEE.login, password: LEE.password };
  await fill(plain, { ...lee, again: 'a slip' });
  must(/passwords differ/.test(await text(plain)) && (await valueOf(plain, 'login')) === LEE.login,
    'without JavaScript: passwords that differ are refused, the rest is kept');
  await fill(plain, { password: LEE.password, again: LEE.password });
  await opened(plain, `${url}/wall`);
  must(path(plain) === '/wall', 'without JavaScript: the invited doctor is signed in and sees the wall');

  // The patient's, with a login that is taken.
  const own = await visit({ viewport: SIZES[0] });
  await own.goto(patient.link);
  await looks(own, 'invitation');
  const noor = { name: NOOR.name, password: NOOR.password, again: NOOR.password };
  await fill(own, { ...noor, login: LEE.login });
  must(/login is taken/.test(await text(own)), 'a login that is taken is refused, and the link still works');
  await looks(own, 'invitation-refused');
  await fill(own, { ...noor, login: NOOR.login });
  await opened(own, `${url}/me`);
  must(/Noor Sample/.test(await text(own)), 'the invited patient has a page of their own');
  await second.goto(patient.link);
  must(/does not work/.test(await text(second)), 'a link that was used does not work');
  await looks(second, 'invitation-dead');

  // The doctor's open page closes when the account is suspended.
  const wall = await visit();
  await signIn(wall, url, LEE);
  await wall.waitForFunction(() => globalThis.aceso.page.lines > 0, null, { timeout: WAIT_MS });
  await admin.goto(doctor.page);
  await looks(admin, 'person-active');
  await type(admin, { reason: 'left the hospital' });
  await press(admin, 'form[action$="/suspend"] button');
  must(/The account is suspended/.test(await text(admin)), 'the administrator suspends the doctor with a reason');
  await looks(admin, 'person-suspended');
  await wall.waitForSelector('#ended:not([hidden])', { timeout: WAIT_MS });
  must(/closed.*[a-z]\./s.test(await wall.locator('#ended').innerText()), `the doctor’s open page closes and says: ${await wall.locator('#ended-why').innerText()}`);
  await looks(wall, 'wall-ended');
  await plain.goto(`${url}/wall`);
  must(path(plain) === '/sign-in', 'their other session has ended, too');
  await wall.goto(`${url}/sign-in`);
  await fill(wall, { login: LEE.login, password: 'not the password' });
  must(!/suspended/.test(await text(wall)), 'who guesses the password does not learn of the suspension');
  await fill(wall, { login: LEE.login, password: LEE.password });
  must(/account is suspended: ask an administrator/.test(await text(wall)), 'signing in is refused with what to do');
  await looks(wall, 'sign-in-suspended');

  await type(admin, { reason: 'came back' });
  await press(admin, 'form[action$="/reinstate"] button');
  must(/The account is reinstated/.test(await text(admin)), 'the administrator reinstates the doctor');
  await looks(admin, 'person-reinstated');
  await signIn(wall, url, LEE);
  must(path(wall) === '/wall', 'who signs in again');

  // A link to a new password.
  await press(admin, 'form[action$="/password-link"] button');
  const password = await admin.locator('main input[readonly]').inputValue();
  await looks(admin, 'person-password-link');
  await second.goto(password);
  await looks(second, 'password-link');
  await fill(second, { password: 'a new secret word', again: 'a new secret word' });
  must(path(second) === '/wall', 'a link to a new password signs its person in');
  await wall.reload();
  must(path(wall) === '/sign-in', 'and ends the sessions of the old one');

  must(complaints.length === 0, `no script error, no violation of the page’s policy${complaints.length ? `: ${complaints.join('; ')}` : ''}`);
  console.log(`${checks} checks passed`);
} catch (why) {
  console.log(`not ok ${why.message}`);
  process.exitCode = 1;
} finally {
  if (browser) await browser.close();
  node.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
