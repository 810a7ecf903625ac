// The page: tabs, refresh, and what is said when something fails. TensorBoard calls render().

import { read } from './api.js';
import { compression } from './compression.js';
import { el, problem } from './dom.js';
import { explanations } from './explanations.js';

const TABS = [
  { name: 'Compression', draw: compression, state: {} },
  { name: 'Explanations', draw: explanations, state: {} },
];

export async function render() {
  const sheet = el('link', { rel: 'stylesheet', href: new URL('./style.css', import.meta.url).href });
  const styled = new Promise((resolve) => { sheet.onload = sheet.onerror = resolve; });
  document.documentElement.lang = 'en';
  document.head.append(sheet);
  await styled;

  let current = TABS[0];
  let listing = null;
  const panel = el('main', { id: 'panel', aria: { role: 'tabpanel' } });
  const buttons = TABS.map((tab) => {
    const button = el('button', { type: 'button', id: `tab-${tab.name}`, textContent: tab.name, aria: { role: 'tab', controls: 'panel' } });
    button.addEventListener('click', () => open(tab));
    return button;
  });
  const tabs = el('div', { className: 'tabs', aria: { role: 'tablist', label: 'Views' } }, ...buttons);
  tabs.addEventListener('keydown', (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = (TABS.indexOf(current) + move + TABS.length) % TABS.length;
    buttons[next].focus();
    open(TABS[next]);
  });
  const refresh = el('button', { type: 'button', textContent: 'Refresh' });
  refresh.addEventListener('click', load);
  document.body.replaceChildren(el('header', {}, el('h1', { textContent: 'keras_arch' }), tabs, refresh), panel);

  async function open(tab) {
    current = tab;
    TABS.forEach((one, place) => {
      buttons[place].setAttribute('aria-selected', String(one === tab));
      buttons[place].tabIndex = one === tab ? 0 : -1;
    });
    panel.setAttribute('aria-labelledby', `tab-${tab.name}`);
    if (!listing) return;
    const box = el('div');
    const left = listing.unreadable;
    const note = `${left} ${left === 1 ? 'tag was' : 'tags were'} written by another version or program and ${left === 1 ? 'is' : 'are'} left out.`;
    panel.replaceChildren(...(left ? [el('p', { className: 'note', textContent: note })] : []), box);
    try {
      await tab.draw(listing, tab.state, box);
    } catch (error) {
      box.replaceChildren(problem(error));
    }
    panel.dataset.shown = tab.name;
  }

  async function load() {
    try {
      listing = await read('tags');
    } catch (error) {
      panel.replaceChildren(problem(error));
      return;
    }
    if (!listing.vectors.length && listing.images.length && !panel.dataset.shown) current = TABS[1];
    await open(current);
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    if (current === TABS[0]) current.state.redraw?.();
  });
  await load();
}
