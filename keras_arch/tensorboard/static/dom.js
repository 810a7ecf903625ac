// Small pieces of a page. Text goes in by textContent only: names of runs, tags and layers are anybody's.

export function el(name, properties = {}, ...children) {
  const { style, data, aria, ...rest } = properties;
  const node = Object.assign(document.createElement(name), rest);
  for (const [key, value] of Object.entries(aria ?? {})) node.setAttribute(key === 'role' ? 'role' : `aria-${key}`, value);
  for (const [key, value] of Object.entries(style ?? {})) node.style.setProperty(key, value);
  Object.assign(node.dataset, data ?? {});
  node.append(...children);
  return node;
}

export function labelled(text, control, ...more) {
  return el('label', { className: 'field' }, el('span', { textContent: text }), control, ...more);
}

export function select(text, options, chosen, onChoose) {
  const control = el('select', {}, ...options.map((option) => el('option', { value: option, textContent: option })));
  control.value = chosen;
  control.dataset.key = text;
  control.addEventListener('change', () => onChoose(control.value));
  return labelled(text, control);
}

// A slider over a list of values; the current one is written beside it.
export function slider(text, values, start, show, onMove) {
  const control = el('input', { type: 'range', min: 0, max: Math.max(0, values.length - 1), step: 1 });
  control.value = start;
  control.disabled = values.length < 2;
  const output = el('output');
  const update = () => {
    output.textContent = values.length ? show(values[control.value]) : '–';
    control.setAttribute('aria-valuetext', output.textContent);
  };
  control.addEventListener('input', () => { update(); onMove(Number(control.value)); });
  update();
  const move = (index) => {
    if (index === Number(control.value)) return;
    control.value = index;
    control.dispatchEvent(new Event('input'));
  };
  return { node: labelled(text, control, output), move, index: () => Number(control.value) };
}

export function checkboxes(text, names, chosen, onChange) {
  const boxes = names.map((name) => {
    const box = el('input', { type: 'checkbox', checked: chosen.has(name), data: { key: `${text} ${name}` } });
    box.addEventListener('change', () => {
      if (box.checked) chosen.add(name); else chosen.delete(name);
      onChange();
    });
    return el('label', { className: 'choice' }, box, el('span', { textContent: name, title: name }));
  });
  return el('fieldset', {}, el('legend', { textContent: text }), ...boxes);
}

export function problem(error) {
  return el('p', { className: 'problem', aria: { role: 'alert' }, textContent: error.message ?? String(error) });
}

export function empty(sentence, code) {
  return el('section', { className: 'empty' },
    el('p', { textContent: sentence }),
    el('p', { textContent: 'These lines produce it:' }),
    el('pre', { tabIndex: 0 }, el('code', { textContent: code })));
}

// Puts new controls in the place of old ones without taking the focus away from who just used one.
export function renew(box, ...nodes) {
  const key = box.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  box.replaceChildren(...nodes);
  if (key !== undefined) [...box.querySelectorAll('[data-key]')].find((node) => node.dataset.key === key)?.focus();
}

// The part of the state that both tabs have: the chosen tag and the runs that show it.
export function choose(series, state, preferred) {
  const tags = distinct(series.map((one) => one.tag));
  if (!tags.includes(state.tag)) state.tag = tags.includes(preferred) ? preferred : tags[0];
  const runs = series.filter((one) => one.tag === state.tag).map((one) => one.run);
  state.hiddenRuns ??= new Set();
  const shown = new Set(runs.filter((run) => !state.hiddenRuns.has(run)));
  const keep = () => {
    for (const run of runs) if (shown.has(run)) state.hiddenRuns.delete(run); else state.hiddenRuns.add(run);
  };
  return { tags, runs, shown, keep };
}

// A slider over steps that remembers where it was put; left at the end, it follows new steps.
export function stepSlider(steps, state, onMove) {
  const last = steps.length - 1;
  const start = state.step === undefined ? last : Math.max(0, lastUpTo(steps, state.step));
  return slider('Step', steps, start, String, (index) => {
    state.step = index === last ? undefined : steps[index];
    onMove(steps[index]);
  });
}

export const distinct = (values) => [...new Set(values)];

// Index of the last step that is not after the given one; -1 if there is none.
export function lastUpTo(steps, step) {
  let found = -1;
  while (found + 1 < steps.length && steps[found + 1] <= step) found += 1;
  return found;
}
