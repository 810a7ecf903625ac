// Drives the plugin's page in a real browser and prints what it found as JSON; test_page.py judges it.
// node page.mjs CHROMIUM ADDRESS_WITH_DATA ADDRESS_WITHOUT SCREENSHOT_FOLDER

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const [executablePath, withData, without, folder] = process.argv.slice(2);
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args });
const found = { problems: [], outside: [] };

async function open(address) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, colorScheme: 'light' });
  page.setDefaultTimeout(20000);
  page.on('console', (line) => { if (['error', 'warning'].includes(line.type())) found.problems.push(line.text()); });
  page.on('pageerror', (error) => found.problems.push(error.message));
  page.on('dialog', (dialog) => { found.problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.hostname !== '127.0.0.1') found.outside.push(url.href);
  });
  // Within TensorBoard the page is a frame, for which no icon is asked.
  await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  await page.goto(address);
  await page.waitForSelector('#panel[data-shown]');
  return page;
}

const colours = (page) => page.locator('canvas').evaluateAll((all) => all.map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const seen = {};
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) continue;
    const key = `${data[i]},${data[i + 1]},${data[i + 2]}`;
    seen[key] = (seen[key] ?? 0) + 1;
  }
  return seen;
}));
const look = async (locator) => createHash('sha1').update(await locator.screenshot()).digest('hex');
const focused = (page) => page.evaluate(() => document.activeElement.dataset.key ?? document.activeElement.id);

try {
  const page = await open(withData);
  found.tabs = await page.getByRole('tab').evaluateAll((tabs) => tabs.map((tab) => [tab.textContent, tab.ariaSelected]));
  found.metrics = await page.getByLabel('Metric').locator('option').allTextContents();
  found.headings = await page.locator('h3').allTextContents();
  found.names = await page.locator('tbody th').allTextContents();
  found.notes = await page.locator('.note').allTextContents();
  found.last = await page.locator('tbody tr').first().locator('td').allTextContents();
  found.colours = await colours(page);
  await page.screenshot({ path: `${folder}/compression.png` });

  const charts = () => page.locator('canvas').evaluateAll((all) => all.map((canvas) => canvas.getAttribute('aria-label')));
  const metric = async (tag) => {
    await page.getByLabel('Metric').focus();
    await page.getByLabel('Metric').selectOption(tag);
    await page.waitForFunction((tag) => document.querySelector('canvas')?.getAttribute('aria-label').startsWith(tag), tag);
  };
  found.chartsBefore = await charts();
  await metric('flops_left');
  found.chartsAfter = await charts();
  found.focusAfterMetric = await focused(page);
  found.large = await page.locator('tbody td').allTextContents();
  await page.screenshot({ path: `${folder}/compression-flops.png` });
  await page.getByRole('slider', { name: 'Step' }).press('Home');
  found.largeAtFirst = await page.locator('tbody td').allTextContents();
  await page.getByRole('slider', { name: 'Step' }).press('End');
  await metric('sparsity');

  await page.getByRole('slider', { name: 'Step' }).focus();
  await page.keyboard.press('Home');
  found.first = await page.locator('tbody tr').first().locator('td').allTextContents();
  await page.getByRole('button', { name: 'None' }).press('Enter');
  found.coloursOfNone = await colours(page);
  await page.getByRole('button', { name: 'All' }).press('Enter');
  await page.locator('tbody input').nth(1).press('Space');
  found.coloursWithoutSecond = await colours(page);
  await page.locator('tbody input').nth(1).press('Space');

  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForFunction(() => getComputedStyle(document.body).backgroundColor === 'rgb(48, 48, 48)');
  for (let tries = 0; tries < 100 && !(found.coloursInTheDark?.[0]['61,149,214'] > 0); tries += 1) {
    await page.waitForTimeout(50); // the charts are redrawn a moment later
    found.coloursInTheDark = await colours(page);
  }
  await page.screenshot({ path: `${folder}/compression-dark.png` });
  await page.emulateMedia({ colorScheme: 'light' });

  await page.locator('fieldset input').last().press('Space');
  await page.waitForFunction(() => document.querySelectorAll('canvas').length === 1);
  found.headingsOfOneRun = await page.locator('h3').allTextContents();
  found.focusAfterRun = await focused(page);

  await page.getByRole('tab', { name: 'Compression' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.waitForSelector('#panel[data-shown="Explanations"] figure');
  found.focusAfterArrow = await focused(page);
  const loaded = () => page.waitForFunction(() => [...document.images].every((image) => image.complete && image.naturalWidth));
  await loaded();
  found.captions = await page.locator('figcaption').allTextContents();
  found.alternatives = await page.locator('figure img').evaluateAll((images) => images.map((image) => image.alt));
  await page.screenshot({ path: `${folder}/explanations.png` });
  const stack = page.locator('.stack').first();
  const half = await look(stack);
  await page.getByRole('slider', { name: 'Opacity' }).press('Home');
  const bare = await look(stack);
  await page.getByRole('slider', { name: 'Opacity' }).press('End');
  const full = await look(stack);
  found.opacityChangesThePicture = new Set([half, bare, full]).size === 3;
  await page.getByRole('slider', { name: 'Step' }).press('Home');
  await page.waitForFunction(() => document.querySelector('figcaption')?.textContent.includes('step 0'));
  await loaded();
  found.stepChangesThePicture = (await look(stack)) !== full;

  await page.route('**/vector?*', (route) => route.fulfill({ status: 404, body: '<b>gone</b>' }));
  found.problemsBefore = [...found.problems];
  await page.getByRole('tab', { name: 'Compression' }).click();
  found.alert = await page.getByRole('alert').first().textContent();
  found.problems = found.problemsBefore; // a browser itself reports the 404 that was asked for

  const nothing = await open(without);
  found.empty = await nothing.locator('#panel').textContent();
  await nothing.getByRole('tab', { name: 'Explanations' }).click();
  await nothing.waitForSelector('#panel[data-shown="Explanations"] pre');
  found.emptyExplanations = await nothing.locator('#panel').textContent();
  await nothing.screenshot({ path: `${folder}/empty.png` });
} catch (error) {
  found.failed = error.message;
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));
