// Lines over steps on a canvas, with axes. Colours come from the style sheet, so they follow the colour scheme.

const MARGIN = { left: 52, right: 24, top: 20, bottom: 34 };
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3]];
const COLOURS = 8;

export const dashOf = (index) => DASHES[Math.floor(index / COLOURS) % DASHES.length];
export const colourOf = (index) => `var(--line-${index % COLOURS})`;

// Round numbers that cover an interval in about `count` steps: 0, 0.2, 0.4 …
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const first = Math.ceil(low / size - 1e-9);
  const last = Math.floor(high / size + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * size).toPrecision(12)));
}

// Four digits, from a million on with a prefix: 0.1235, 999900, 1.235M, 12G.
export function short(value) {
  if (!Number.isFinite(value)) return String(value);
  const rounded = Number(value.toPrecision(4));
  const size = Math.abs(rounded);
  const power = size < 1e6 ? 0 : Math.min(5, Math.floor(Math.log10(size) / 3));
  return Number((rounded / 1000 ** power).toPrecision(4)) + ['', '', 'M', 'G', 'T', 'P'][power];
}

// Interval of all finite values, widened where it is a point; ratios are drawn from 0 to 1.
export function extent(arrays, isRatio) {
  let low = Infinity;
  let high = -Infinity;
  for (const array of arrays) {
    for (const value of array) {
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [0, 1];
  if (isRatio && low >= 0 && high <= 1) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

export class LineChart {
  // onPoint(step): the pointer is over a step.
  constructor(name, onPoint) {
    this.canvas = document.createElement('canvas');
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', name);
    this.cursor = document.createElement('div');
    this.cursor.className = 'cursor';
    this.node = document.createElement('div');
    this.node.className = 'chart';
    this.node.append(this.canvas, this.cursor);
    this.canvas.addEventListener('pointermove', (event) => {
      const inside = (event.offsetX - MARGIN.left) / this.plotWidth();
      if (this.data && inside >= 0 && inside <= 1) onPoint(this.data.x[0] + inside * (this.data.x[1] - this.data.x[0]));
    });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.node);
  }

  // data: {steps, x: [low, high], y: [low, high], unit, lines: [{index, values}]}
  show(data) {
    this.data = data;
    this.draw();
  }

  plotWidth() { return this.node.clientWidth - MARGIN.left - MARGIN.right; }

  place(step) {
    const [low, high] = this.data.x;
    return MARGIN.left + (this.plotWidth() * (step - low)) / (high - low);
  }

  point(step) {
    this.at = step;
    this.cursor.style.left = `${this.place(step)}px`;
    this.cursor.hidden = step < this.data.x[0] || step > this.data.x[1];
  }

  draw() {
    const width = this.node.clientWidth;
    const height = this.node.clientHeight;
    if (!this.data || width < 100) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const context = this.canvas.getContext('2d');
    context.scale(scale, scale);
    const style = getComputedStyle(this.node);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { steps, y, lines, unit } = this.data;
    const bottom = height - MARGIN.bottom;
    const across = (step) => this.place(step);
    const up = (value) => bottom - ((bottom - MARGIN.top) * (value - y[0])) / (y[1] - y[0]);

    context.font = '12px system-ui, sans-serif';
    context.strokeStyle = colour('--grid');
    context.fillStyle = colour('--quiet');
    context.lineWidth = 1;
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const value of ticks(y[0], y[1], 5)) {
      const at = Math.round(up(value)) + 0.5;
      segment(context, MARGIN.left, at, width - MARGIN.right, at);
      context.fillText(short(value), MARGIN.left - 6, at);
    }
    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const value of ticks(this.data.x[0], this.data.x[1], Math.max(2, width / 110))) {
      const at = Math.round(across(value)) + 0.5;
      segment(context, at, bottom, at, bottom + 4);
      context.fillText(short(value), at, bottom + 6);
    }
    context.textAlign = 'right';
    context.fillText('step', width - MARGIN.right, height - 13);
    context.textAlign = 'left';
    context.fillText(unit, 4, 2);

    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top - 2, this.plotWidth(), bottom - MARGIN.top + 4);
    context.clip();
    context.lineWidth = 1.75;
    context.lineJoin = 'round';
    for (const { index, values } of lines) {
      context.strokeStyle = context.fillStyle = colour(`--line-${index % COLOURS}`);
      context.setLineDash(dashOf(index));
      trace(context, steps, values, across, up);
    }
    context.restore();
    this.point(this.at ?? this.data.x[1]);
  }
}

function segment(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

// One line with gaps where a value is not finite; a value between two gaps is a dot.
function trace(context, steps, values, across, up) {
  context.beginPath();
  for (let i = 0; i < steps.length; i += 1) {
    if (!Number.isFinite(values[i])) continue;
    const begins = i === 0 || !Number.isFinite(values[i - 1]);
    const ends = i === steps.length - 1 || !Number.isFinite(values[i + 1]);
    if (begins && ends) context.fillRect(across(steps[i]) - 2, up(values[i]) - 2, 4, 4);
    else if (begins) context.moveTo(across(steps[i]), up(values[i]));
    else context.lineTo(across(steps[i]), up(values[i]));
  }
  context.stroke();
}
