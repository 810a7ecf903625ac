// Vectors over steps: one chart a run on common axes, and one table that is both legend and exact values.

import { floats, read } from './api.js';
import { LineChart, colourOf, dashOf, extent, short } from './chart.js';
import { checkboxes, choose, distinct, el, empty, lastUpTo, problem, renew, select, stepSlider } from './dom.js';

const HOW = `import keras_arch as ka

schedule = ka.compression.PolynomialSchedule(0.0, 0.8, begin_step=0, end_step=1000)
pruning = ka.callbacks.Pruning(schedule, log_dir="logs/pruned")
model.fit(x, y, epochs=5, callbacks=[pruning])
# tensorboard --logdir logs`;

export async function compression(listing, state, box) {
  const { vectors } = listing;
  if (!vectors.length) {
    box.replaceChildren(empty('No sparsity or quantization data was found in this log directory.', HOW));
    return;
  }
  const { tags, runs, shown, keep } = choose(vectors, state, 'sparsity');
  const hiddenNames = (state.hiddenNames ??= new Set());
  const again = () => compression(listing, state, box);
  const controls = el('div', { className: 'controls' },
    select('Metric', tags, state.tag, (tag) => { state.tag = tag; again(); }),
    checkboxes('Runs', runs, shown, () => { keep(); again(); }));
  const body = el('div', { aria: { busy: 'true' } });
  renew(box, controls, body);

  const series = [];
  for (const run of shown) {
    try {
      const answer = await read('vector', { run, tag: state.tag });
      const rows = floats(answer.values);
      const width = answer.names.length;
      const columns = answer.names.map((_, n) => Float32Array.from(answer.steps, (_, s) => rows[s * width + n]));
      series.push({ run, ...answer, columns });
    } catch (error) {
      body.append(problem(error));
    }
  }
  if (!body.isConnected) return; // another choice was made meanwhile
  body.setAttribute('aria-busy', 'false');
  const filled = series.filter((one) => one.steps.length);
  if (!filled.length) {
    const why = shown.size ? 'The chosen runs hold no values yet.' : 'Choose at least one run.';
    body.append(el('p', { textContent: why }));
    return;
  }

  const names = distinct(filled.flatMap((one) => one.names));
  const place = new Map(names.map((name, index) => [name, index]));
  const steps = distinct(filled.flatMap((one) => one.steps)).sort((a, b) => a - b);
  const [first, last] = [steps[0], steps.at(-1)];
  const x = first === last ? [first - 0.5, last + 0.5] : [first, last];
  const y = extent(filled.flatMap((one) => one.columns), !filled[0].unit);

  const table = legend(filled, names, hiddenNames, () => draw());
  const charts = filled.map((one) => {
    const chart = new LineChart(`${state.tag} of ${one.names.length} layers over steps, run ${one.run}`,
      (step) => slide.move(nearest(steps, step)));
    const heading = el('h3', { textContent: one.run });
    body.append(el('section', {}, heading, chart.node, ...notes(one)));
    return chart;
  });
  const slide = stepSlider(steps, state, (step) => point(step));
  controls.append(slide.node);
  body.append(table.node);

  const point = (step) => {
    for (const chart of charts) chart.point(step);
    table.point(step);
  };
  const draw = () => {
    charts.forEach((chart, c) => {
      const one = filled[c];
      const lines = one.names.map((name, n) => ({ name, index: place.get(name), values: one.columns[n] }));
      chart.show({ steps: one.steps, x, y, unit: one.unit, lines: lines.filter((line) => !hiddenNames.has(line.name)) });
    });
    point(steps[slide.index()]);
  };
  draw();
  state.redraw = draw;
}

function nearest(steps, step) {
  const before = Math.max(0, lastUpTo(steps, step));
  const after = Math.min(steps.length - 1, before + 1);
  return step - steps[before] <= steps[after] - step ? before : after;
}

function notes(one) {
  const found = [];
  const gaps = one.columns.reduce((sum, column) => sum + column.filter((value) => !Number.isFinite(value)).length, 0);
  if (gaps) found.push(`${gaps} of ${one.steps.length * one.names.length} values are not finite and leave gaps.`);
  if (one.left_out) found.push(`${one.left_out} events hold another number of values than there are names; they are left out.`);
  return found.map((textContent) => el('p', { className: 'note', textContent }));
}

function legend(filled, names, hidden, redraw) {
  const boxes = [];
  const cells = [];
  const rows = names.map((name, index) => {
    const box = el('input', { type: 'checkbox', checked: !hidden.has(name) });
    box.addEventListener('change', () => {
      if (box.checked) hidden.delete(name); else hidden.add(name);
      redraw();
    });
    boxes.push(box);
    const dash = dashOf(index).length ? 'dashed' : 'solid';
    const swatch = el('span', { className: 'swatch', style: { 'border-top': `3px ${dash} ${colourOf(index)}` } });
    const values = filled.map(() => el('td'));
    cells.push(values);
    const label = el('label', {}, box, swatch, el('span', { textContent: name, title: name }));
    return el('tr', {}, el('th', { scope: 'row' }, label), ...values);
  });
  const all = (show) => () => {
    names.forEach((name, index) => {
      boxes[index].checked = show;
      if (show) hidden.delete(name); else hidden.add(name);
    });
    redraw();
  };
  const button = (textContent, onClick) => {
    const node = el('button', { type: 'button', textContent });
    node.addEventListener('click', onClick);
    return node;
  };
  const head = el('tr', {}, el('th', { scope: 'col' }, 'Layer ', button('All', all(true)), button('None', all(false))),
    ...filled.map((one) => el('th', { scope: 'col', textContent: one.run, title: one.run })));
  const columns = filled.map((one) => new Map(one.names.map((name, n) => [name, one.columns[n]])));
  const point = (step) => {
    const at = filled.map((one) => lastUpTo(one.steps, step));
    names.forEach((name, index) => cells[index].forEach((cell, c) => {
      const column = columns[c].get(name);
      cell.textContent = column && at[c] >= 0 ? short(column[at[c]]) : '–';
    }));
  };
  return { node: el('div', { className: 'scroll', tabIndex: 0 }, el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows))), point };
}
