// Takes a picture of every state that a page can show, at the width of a phone, a tablet and a desk, light and
// dark. On each, axe-core must find nothing and nothing may scroll sideways.
//
//   node pictures.mjs --server PROGRAM --out DIR [--only WORD,WORD…] [--width PIXELS]
//
// PROGRAM is the example `page_states` of the crate web: it names the states. States that need the browser's help
// (a lost connection, a form half filled) are below. `--only` takes the states whose names begin so, `--width` one
// width; without them every state is looked at in every look.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { LAUNCH, drawn, objections, overflow, ownLine, signIn } from './pages.mjs';

const WAIT_MS = 20_000;
// Contexts at a time: a browser process each, on machines of two cores.
const AT_A_TIME = 3;
const WIDTHS = [{ width: 390, height: 844 }, { width: 768, height: 1024 }, { width: 1440, height: 900 }];
const looks = (widths) => widths.flatMap((viewport) => ['light', 'dark'].map((colorScheme) => ({ viewport, colorScheme })));

const { values: options } = parseArgs({
  options: { server: { type: 'string' }, out: { type: 'string' }, only: { type: 'string' }, width: { type: 'string' } },
});
const LOOKS = looks(WIDTHS.filter(({ width }) => !options.width || width === Number(options.width)));
for (const name of ['server', 'out']) if (!options[name]) throw new Error(`--${name} is missing`);
mkdirSync(options.out, { recursive: true });
const begun = Date.now();

const server = spawn(options.server, { stdio: ['ignore', 'pipe', 'inherit'] });
const { password, states } = await new Promise((ready, failed) => {
  createInterface(server.stdout).once('line', (line) => ready(JSON.parse(line)));
  server.once('exit', (status) => failed(new Error(`the server ended with ${status}`)));
});
console.log(`${states.length} states after ${Date.now() - begun} ms`);
const found = (name) => {
  const state = states.find((one) => one.name === name);
  if (!state) throw new Error(`no state is called ${name}`);
  return state;
};

// What the server would say to an open page of this topic, in place of its live stream.
const says = (page, events, now = Date.now()) => page.context().route('**/live?*', (route) => {
  const body = [['beat', { now, stale: false, tip: now }], ...events].map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  route.fulfill({ contentType: 'text/event-stream', body: body.join('') });
});

async function openLimits(page) {
  await page.locator('#limits details').first().evaluate((details) => { details.open = true; });
}

// States that come about in the browser: what to do before the page is loaded, and after.
const MADE = [
  {
    name: 'wall-connection-lost', at: 'wall', own: true,
    before: (page) => page.context().route('**/live?*', (route) => route.abort()),
    after: (page) => page.waitForSelector('#lost:not([hidden])', { timeout: WAIT_MS }),
  },
  {
    name: 'patient-left-alone', at: 'patient-well', own: true,
    before: (page, state) => says(page, [['closed', { t: `${state.path.split('/')[2]}-treatment`, why: 'Nobody has used this page for 15 minutes.' }]]),
    after: (page) => page.waitForSelector('#alone:not([hidden])', { timeout: WAIT_MS }),
  },
  {
    name: 'patient-signed-out', at: 'patient-well', own: true,
    before: (page) => says(page, [['ended', { why: 'Your session has ended.' }]]),
    after: (page) => page.waitForSelector('#ended:not([hidden])', { timeout: WAIT_MS }),
  },
  {
    name: 'wall-clock-fault', at: 'wall', own: true,
    before: async (page, state) => {
      // The ward's clock stands: ages count from the page's own time.
      const html = await (await page.context().request.get(state.url + state.path)).text();
      const now = Number(/data-now-ms="(\d+)"/.exec(html)[1]);
      const clock = "the clock of this node's machine was set back by 90 s; the node keeps its own time";
      await says(page, [['beat', { now, stale: false, tip: now, clock }]], now);
    },
    after: (page) => page.waitForSelector('#clock-fault:not([hidden])', { timeout: WAIT_MS }),
  },
  { name: 'wall-sound-on', at: 'wall', after: (page) => page.click('#sound') },
  { name: 'patient-limits-form', at: 'patient-well', after: openLimits },
  {
    name: 'patient-limits-off-question', at: 'patient-well',
    after: async (page) => {
      await openLimits(page);
      const form = page.locator('#limits form.limitform').first();
      for (const side of ['low', 'medium', 'high']) await form.locator(`[name=above_${side}]`).fill('');
      await form.locator('[name=reason]').fill('known fast heart');
      await form.locator('button[type=submit]').click();
      await page.waitForSelector('#limits [name=off]');
      await drawn(page, WAIT_MS);
    },
  },
  {
    name: 'patient-limits-problem', at: 'patient-well',
    after: async (page) => {
      await openLimits(page);
      const form = page.locator('#limits form.limitform').first();
      await form.locator('[name=above_low]').fill('150');
      await form.locator('[name=reason]').fill('known fast heart');
      await form.locator('button[type=submit]').click();
      await page.waitForSelector('#limits-problem');
      await drawn(page, WAIT_MS);
    },
  },
  {
    name: 'consent-preview', at: 'consent-change',
    after: async (page) => {
      await page.locator('main button[type=submit]').click();
      await page.waitForSelector('#sentence');
    },
  },
  {
    name: 'consent-problem', at: 'consent-new',
    after: async (page) => {
      await page.locator('main button[type=submit]').click();
      await page.waitForSelector('#problem');
    },
  },
  {
    name: 'sign-in-wrong', at: 'sign-in',
    after: async (page) => {
      await page.fill('#login', 'nobody');
      await page.fill('#password', 'certainly wrong');
      await page.click('main button[type=submit]');
      await page.waitForSelector('#problem');
    },
  },
];

const wanted = [...states.map((state) => ({ name: state.name, state })), ...MADE.map((made) => ({ ...made, state: found(made.at) }))]
  .filter(({ name }) => !options.only || options.only.split(',').some((word) => name.startsWith(word)));
if (wanted.length === 0) throw new Error(`no state begins with ${options.only}`);

const browser = await chromium.launch(LAUNCH);
let checks = 0;
const failures = [];
const held = (name, wrong) => { checks += 1; if (wrong) { failures.push(`${name}: ${wrong}`); console.log(`not ok ${name}: ${wrong}`); } };

// Signed in once for each person and ward.
const kept = new Map();
const session = ({ url, login }) => {
  const key = `${url} ${login}`;
  if (!kept.has(key)) {
    kept.set(key, (async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      await signIn(page, url, { login, password });
      const storage = await context.storageState();
      await context.close();
      return storage;
    })());
  }
  return kept.get(key);
};

async function look({ name, state, own, before, after }, { viewport, colorScheme }) {
  const title = `${name}-${viewport.width}-${colorScheme}`;
  const storageState = state.login ? await session(state) : undefined;
  const context = await browser.newContext({ viewport, colorScheme, timezoneId: 'Europe/Berlin', storageState });
  try {
    const page = await context.newPage();
    page.on('pageerror', (why) => held(title, `script error: ${why.message}`));
    if (own) await ownLine(context);
    if (before) await before(page, state);
    await page.goto(state.url + state.path, { waitUntil: 'load' });
    await drawn(page, WAIT_MS);
    if (after) await after(page);
    await page.screenshot({ path: join(options.out, `${title}.png`), fullPage: true });
    const over = await overflow(page);
    held(title, over > 0 ? `scrolls sideways by ${over} px` : '');
    const against = await objections(page);
    held(title, against.length ? `axe-core: ${against.join('\n  ')}` : '');
  } catch (why) {
    held(title, why.message);
  } finally {
    await context.close();
  }
}

try {
  const queue = wanted.flatMap((state) => LOOKS.map((one) => [state, one]));
  const work = async () => { for (let next = queue.shift(); next; next = queue.shift()) await look(...next); };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
} finally {
  await browser.close();
  server.kill();
}
const seconds = Math.round((Date.now() - begun) / 1000);
console.log(`${wanted.length} states in ${LOOKS.length} looks: ${checks - failures.length} checks passed, ${failures.length} failed, ${seconds} s; pictures in ${options.out}`);
process.exitCode = failures.length ? 1 : 0;
