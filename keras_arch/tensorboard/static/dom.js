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
    const box = el('input', { type: 'checkbox', checked: chosen.has(name) });
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

export const distinct = (values) => [...new Set(values)];

// Index of the last step that is not after the given one; -1 if there is none.
export function lastUpTo(steps, step) {
  let found = -1;
  while (found + 1 < steps.length && steps[found + 1] <= step) found += 1;
  return found;
}
