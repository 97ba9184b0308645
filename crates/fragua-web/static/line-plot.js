// Reads out the values below the pointer, or below the place the arrow keys moved to, in every curve of a picture.
import { decimal, number } from "./numbers.js";

function span(millis) {
  const seconds = millis / 1000;
  if (seconds < 60) return decimal(`${seconds.toFixed(1)} s`);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two((seconds / 60) % 60)} m`;
}

function place(x, axis) {
  if (axis === "relative") return span(x);
  if (axis === "time") return new Date(x).toISOString().replace("T", " ").replace("Z", " UTC");
  return String(x);
}

function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - points[low - 1][0] < points[low][0] - x ? low - 1 : low;
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

class Reader {
  constructor(plot) {
    this.plot = plot;
    this.data = JSON.parse(plot.dataset.plot);
    this.data.series = this.data.series.map((series, index) => ({ ...series, index })).filter((series) => series.points.length > 0);
    this.line = element("span", "plot-cursor");
    this.box = element("div", "plot-values");
    plot.append(this.line, this.box);
  }

  show(x) {
    const { first, last, axis, series, bottom, top, logarithmic } = this.data;
    // The cursor stands on a value of the series whose value is nearest.
    const found = series.map((one) => ({ ...one, point: one.points[nearest(one.points, x)] }));
    const at = found.reduce((best, one) => (Math.abs(one.point[0] - x) < Math.abs(best.point[0] - x) ? one : best)).point[0];
    this.at = at;
    const share = (at - first) / (last - first);
    this.line.style.left = `${share * 100}%`;
    const here = found.filter((one) => one.point[0] === at);
    this.box.replaceChildren(element("span", "plot-place", place(at, axis)));
    for (const one of here) {
      const row = element("span", `plot-value tone-${one.index % 8}`);
      if (series.length > 1) row.append(element("span", "plot-label", one.label));
      row.append(element("strong", "", number(one.point[1], 6)));
      this.box.append(row);
    }
    this.box.classList.toggle("is-left", share > 0.6);
    this.box.style.left = `${share * 100}%`;
    const value = here[0].point[1];
    const scaled = logarithmic ? Math.log10(value) : value;
    this.box.style.top = `${Math.min(70, ((top - scaled) / (top - bottom)) * 100)}%`;
    this.plot.classList.add("is-read");
  }

  showAt(clientX) {
    const { left, width } = this.plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (clientX - left) / width));
    this.show(this.data.first + share * (this.data.last - this.data.first));
  }

  step(direction) {
    const longest = this.data.series.reduce((best, one) => (one.points.length > best.points.length ? one : best));
    const start = this.at ?? (direction > 0 ? -Infinity : Infinity);
    const xs = longest.points.map(([x]) => x);
    const next = direction > 0 ? xs.find((x) => x > start) : xs.findLast((x) => x < start);
    if (next !== undefined) this.show(next);
  }

  hide() {
    this.plot.classList.remove("is-read");
  }
}

const readers = new WeakMap();

function readerOf(target) {
  const plot = target?.closest?.("[data-plot]");
  if (!plot) return null;
  if (!readers.has(plot)) readers.set(plot, new Reader(plot));
  return readers.get(plot);
}

export function startPlots() {
  document.addEventListener("pointermove", (event) => readerOf(event.target)?.showAt(event.clientX));
  document.addEventListener("pointerout", (event) => {
    const plot = event.target.closest?.("[data-plot]");
    if (plot && !plot.contains(event.relatedTarget)) readers.get(plot)?.hide();
  });
  document.addEventListener("keydown", (event) => {
    const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!direction || !event.target.matches?.("[data-plot]")) return;
    event.preventDefault();
    readerOf(event.target).step(direction);
  });
  document.addEventListener("focusout", (event) => readers.get(event.target)?.hide());
}
