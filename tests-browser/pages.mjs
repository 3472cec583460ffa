// What the browser checks share: how Chromium is started, and what is asked of every page.
import axe from 'axe-core';

export const LAUNCH = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--ignore-certificate-errors'],
};

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// What axe-core objects to, one sentence each.
export async function objections(page) {
  // axe is handed to the page by the browser itself: the page's own policy forbids foreign scripts.
  await page.evaluate(`${axe.source};0`);
  const found = await page.evaluate((rules) => axe.run(document, { runOnly: rules }), RULES);
  return found.violations.map((violation) => {
    const nodes = violation.nodes.slice(0, 4).map((node) => `${node.target.join(' ')} ${node.failureSummary.split('\n').slice(1, 2)}`);
    return `${violation.id}: ${violation.help}\n    ${nodes.join('\n    ')}`;
  });
}

// By how many pixels the page can be scrolled sideways.
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

// Curves are drawn after the page has loaded.
export async function drawn(page, timeout) {
  await page.waitForFunction(
    () => document.fonts.status === 'loaded' && (!document.querySelector('#trends') || document.querySelector('#trends.drawn')),
    null, { timeout },
  );
}

export async function signIn(page, url, who) {
  await page.goto(`${url}/sign-in`);
  await page.fill('#login', who.login);
  await page.fill('#password', who.password);
  const posted = page.waitForResponse((answer) => answer.request().method() === 'POST' && new URL(answer.url()).pathname === '/sign-in');
  const [answer] = await Promise.all([posted, page.click('main button[type=submit]')]);
  // Report a refusal at once with its text, not as a redirect that never comes.
  if (answer.status() !== 303) throw new Error(`${who.login} is refused with ${answer.status()}: ${await page.locator('#problem').innerText()}`);
  await page.waitForURL((to) => !to.pathname.startsWith('/sign-in'));
}

// A browser without shared workers, whose pages each hold a live connection of their own: only those can be cut
// by a check. tabs.mjs checks what the worker does when its connection is cut.
export async function ownLine(context) {
  await context.addInitScript(() => { delete window.SharedWorker; });
}
