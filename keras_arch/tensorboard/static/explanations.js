// Pictures over steps, each under the heat map that explains it.

import { blobAddress, read } from './api.js';
import { checkboxes, choose, distinct, el, empty, lastUpTo, problem, renew, select, slider, stepSlider } from './dom.js';

const HOW = `import keras_arch as ka

grad_cam = ka.explain.GradCAM()
explanations = ka.callbacks.Explanations([grad_cam], samples=x[:8], log_dir="logs/run")
model.fit(x, y, epochs=5, callbacks=[explanations])
# tensorboard --logdir logs`;

export async function explanations(listing, state, box) {
  const { images } = listing;
  if (!images.length) {
    box.replaceChildren(empty('No explanations were found in this log directory.', HOW));
    return;
  }
  const { tags, runs, shown, keep } = choose(images, state);
  const again = () => explanations(listing, state, box);
  const controls = el('div', { className: 'controls' },
    select('Explanation', tags, state.tag, (tag) => { state.tag = tag; again(); }),
    checkboxes('Runs', runs, shown, () => { keep(); again(); }));
  const body = el('div', { aria: { busy: 'true' } });
  renew(box, controls, body);

  const galleries = [];
  for (const run of shown) {
    try {
      const events = await read('images', { run, tag: state.tag });
      if (events.length) galleries.push(gallery(run, events));
    } catch (error) {
      body.append(problem(error));
    }
  }
  if (!body.isConnected) return; // another choice was made meanwhile
  body.setAttribute('aria-busy', 'false');
  if (!galleries.length) {
    const why = shown.size ? 'The chosen runs hold no pictures yet.' : 'Choose at least one run.';
    body.append(el('p', { textContent: why }));
    return;
  }
  const steps = distinct(galleries.flatMap((one) => one.steps)).sort((a, b) => a - b);
  const show = (step) => { for (const one of galleries) one.show(step); };
  const percents = Array.from({ length: 21 }, (_, place) => place * 5);
  const blend = () => body.style.setProperty('--opacity', (state.opacity ?? 60) / 100);
  const opacity = slider('Opacity of the heat map', percents, (state.opacity ?? 60) / 5, (percent) => `${percent} %`,
    (index) => { state.opacity = percents[index]; blend(); });
  const slide = stepSlider(steps, state, show);
  controls.append(slide.node, opacity.node);
  body.append(...galleries.map((one) => one.node));
  blend();
  show(steps[slide.index()]);
}

function gallery(run, events) {
  const steps = events.map((event) => event.step);
  const heading = el('h3', { textContent: run });
  const content = el('div', { className: 'gallery' });
  let wanted = -1;
  const show = async (step) => {
    const at = lastUpTo(steps, step);
    if (at === wanted) return;
    wanted = at;
    if (at < 0) {
      content.replaceChildren(el('p', { textContent: `This run begins at step ${steps[0]}.` }));
      return;
    }
    try {
      const figures = await pictures(events[at]);
      if (at === wanted) content.replaceChildren(...figures);
    } catch (error) {
      if (at === wanted) content.replaceChildren(problem(error));
    }
  };
  return { steps, show, node: el('section', {}, heading, content) };
}

const manifests = new Map();

async function pictures({ step, time, keys }) {
  const mark = `${keys[0]} ${time}`;
  if (!manifests.has(mark)) manifests.set(mark, await read('blob', { key: keys[0], time }));
  const { images, heat, labels } = manifests.get(mark);
  return Array.from({ length: images }, (_, place) => {
    const label = labels[place] ?? `picture ${place + 1}`;
    const stack = el('div', { className: 'stack' }, picture(keys[1 + place], time, `${label}, step ${step}`));
    if (heat) stack.append(el('div', { className: 'heat' }, picture(keys[1 + images + place], time, '')));
    return el('figure', {}, stack, el('figcaption', { textContent: label }));
  });
}

function picture(key, time, alt) {
  const image = el('img', { loading: 'lazy', alt });
  image.addEventListener('error', () => image.replaceWith(problem(new Error('This picture could not be read.'))));
  image.addEventListener('load', () => { if (image.naturalWidth < 100) image.classList.add('coarse'); });
  image.src = blobAddress(key, time);
  return image;
}
