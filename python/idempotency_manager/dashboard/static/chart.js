// A line over time, as SVG. The arrow keys and the pointer read its values.

import { between, clock } from "/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 20;

function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The next number with one digit, so that an axis ends well. */
function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((digit) => digit * size).find((candidate) => candidate >= value);
}

export class Chart {
  constructor(place, output, { title, unit, top }) {
    Object.assign(this, { place, output, title, unit, top, points: [], at: null });
    this.svg = draw("svg", { role: "img", tabindex: "0" });
    place.append(this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(place);
  }

  /** Show points: {at, value}, where a value may be null. */
  show(points) {
    this.points = points;
    this.render();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.points.length) return;
    event.preventDefault();
    const last = this.points.length - 1;
    this.move(Math.min(last, Math.max(0, (this.at ?? last + (step > 0 ? -1 : 1)) + step)));
  }

  point(x) {
    const nearest = this.points.reduce((best, point, index) =>
      Math.abs(this.x(point) - x) < Math.abs(this.x(this.points[best]) - x) ? index : best, 0);
    this.move(this.points.length ? nearest : null);
  }

  move(at) {
    this.at = at;
    this.render();
  }

  x(point) {
    const first = Date.parse(this.points[0].at), last = Date.parse(this.points.at(-1).at);
    const part = last > first ? (Date.parse(point.at) - first) / (last - first) : 1;
    return LEFT + part * (this.width - LEFT - RIGHT);
  }

  y(value) {
    return TOP + (1 - value / this.limit) * (this.height - TOP - BOTTOM);
  }

  write(point) {
    const value = point.value === null ? "no look-ups" : `${point.value.toFixed(1)} ${this.unit}`;
    return `${value} at ${clock(point.at)}`;
  }

  render() {
    this.width = this.place.clientWidth;
    this.height = this.place.clientHeight;
    if (!this.width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    const known = this.points.filter((point) => point.value !== null);
    this.limit = this.top ?? roundUp(Math.max(1, ...known.map((point) => point.value)));
    this.svg.replaceChildren(...this.axes(), ...(known.length ? this.lines() : [this.nothing()]), ...this.cursor());
    this.describe(known);
  }

  axes() {
    const lines = [0, this.limit / 2, this.limit].flatMap((value) => {
      const y = this.y(value);
      const label = this.top ? `${value} %` : value.toLocaleString("en", { notation: "compact" });
      return [
        draw("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }),
        draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, label),
      ];
    });
    if (this.points.length < 2) return lines;
    const age = `-${between(this.points[0].at, this.points.at(-1).at)}`;
    return [
      ...lines,
      draw("text", { x: LEFT, y: this.height - 4 }, age),
      draw("text", { x: this.width - RIGHT, y: this.height - 4, "text-anchor": "end" }, "now"),
    ];
  }

  /** A line and an area for each run of values without a gap. */
  lines() {
    const runs = [[]];
    for (const point of this.points) {
      if (point.value === null) runs.push([]);
      else runs.at(-1).push([this.x(point).toFixed(1), this.y(Math.min(point.value, this.limit)).toFixed(1)]);
    }
    return runs.filter((run) => run.length).flatMap((run) => {
      const path = run.map(([x, y]) => `${x} ${y}`).join("L"), floor = this.y(0);
      const end = run.length === 1 ? "h.1" : "";
      return [
        draw("path", { class: "area", d: `M${run[0][0]} ${floor}L${path}L${run.at(-1)[0]} ${floor}Z` }),
        draw("path", { class: "line", d: `M${path}${end}` }),
      ];
    });
  }

  nothing() {
    const place = { class: "empty", x: (LEFT + this.width - RIGHT) / 2, y: this.height / 2, "text-anchor": "middle" };
    return draw("text", place, this.points.length ? "no look-ups yet" : "from the second look on");
  }

  cursor() {
    const point = this.at === null ? null : this.points[this.at];
    if (!point) return [];
    const x = this.x(point);
    const line = draw("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM });
    if (point.value === null) return [line];
    return [line, draw("circle", { class: "dot", cx: x, cy: this.y(Math.min(point.value, this.limit)), r: 3.5 })];
  }

  describe(known) {
    const last = known.at(-1), point = this.at === null ? last : this.points[this.at];
    // Read out what a person asks for by the arrow keys, not each refresh.
    this.output.ariaLive = this.at === null ? "off" : "polite";
    this.output.value = point ? this.write(point) : "";
    const values = known.map((one) => one.value);
    const range = last ? `: now ${this.write(last)}, from ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}` : ": nothing yet";
    this.svg.setAttribute("aria-label", `${this.title}${range}. The arrow keys read single values.`);
  }
}
