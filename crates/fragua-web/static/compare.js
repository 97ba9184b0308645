// What moves on the page that compares runs. The server draws the pictures; this module reads values off them, picks out
// a run, cuts a range of steps, and filters runs by ranges on the axes of parallel coordinates.
import { number } from "./numbers.js";

function chartAt(event) {
  return event.target.closest?.("[data-chart] .curve-plot");
}

// The points of a line as they are drawn, in the box of 1000 by 300.
const drawn = new WeakMap();

function pointsOf(path) {
  if (!drawn.has(path)) {
    const points = [...path.getAttribute("d").matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
    drawn.set(path, points);
  }
  return drawn.get(path);
}

function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle;
    else high = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

function nameOf(series) {
  return document.querySelector(`.compared [data-series="${series}"] a`)?.textContent ?? "";
}

function readOff(plot, event) {
  const figure = plot.closest("[data-chart]");
  const box = plot.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * 1000;
  const y = ((event.clientY - box.top) / box.height) * 300;
  const { xMin, xMax, yMin, yMax, xWord } = figure.dataset;
  const found = [...plot.querySelectorAll("path.series")]
    .map((path) => ({ path, point: nearest(pointsOf(path), x) }))
    .filter(({ point }) => point)
    .sort((one, other) => Math.abs(one.point[1] - y) - Math.abs(other.point[1] - y));
  if (found.length === 0) return;
  let tip = figure.querySelector(".tip");
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "tip";
    const mark = document.createElement("div");
    mark.className = "crosshair";
    plot.append(mark, tip);
  }
  const place = found[0].point[0];
  const step = Number(xMin) + (place / 1000) * (Number(xMax) - Number(xMin));
  const head = document.createElement("strong");
  head.textContent = `${xWord} ${placeText(figure, step)}`;
  const rows = found.slice(0, 8).map(({ path, point }) => {
    const row = document.createElement("span");
    row.className = path.getAttribute("class").replace(/^series /, "tip-row ");
    const level = Number(yMax) - (point[1] / 300) * (Number(yMax) - Number(yMin));
    row.textContent = `${number("log" in figure.dataset ? 10 ** level : level, 5)}  ${nameOf(path.dataset.series)}`;
    return row;
  });
  tip.replaceChildren(head, ...rows);
  figure.querySelector(".crosshair").style.left = `${place / 10}%`;
  tip.style.left = `${place / 10}%`;
  tip.classList.toggle("is-left", place > 500);
  pick(found[0].path.dataset.series);
}

function placeText(figure, value) {
  const kind = new URLSearchParams(location.search).get("x");
  if (kind === "time") return new Date(value).toISOString().replace("T", " ").slice(0, 19);
  if (kind === "relative") return `${number(value / 1000, 5)} s`;
  return String(Math.round(value));
}

// The run under the pointer stands out in every picture.
function pick(series) {
  const body = document.getElementById("compare-body");
  if (!body || body.dataset.picked === String(series)) return;
  body.dataset.picked = series;
  for (const path of body.querySelectorAll("path.series")) {
    path.classList.toggle("is-picked", path.dataset.series === String(series));
  }
  body.classList.add("has-picked");
}

function unpick() {
  const body = document.getElementById("compare-body");
  if (!body?.dataset.picked) return;
  delete body.dataset.picked;
  body.classList.remove("has-picked");
  for (const path of body.querySelectorAll("path.is-picked")) path.classList.remove("is-picked");
}

// Dragging across a chart of steps asks the server for these steps alone, with more points between them.
let cut = null;

function startCut(event) {
  const plot = chartAt(event);
  const kind = new URLSearchParams(location.search).get("x") ?? "step";
  if (!plot || event.button !== 0 || event.pointerType === "touch" || kind !== "step") return;
  event.preventDefault();
  const mark = document.createElement("div");
  mark.className = "cut";
  plot.append(mark);
  cut = { plot, mark, from: event.clientX };
}

function moveCut(event) {
  const box = cut.plot.getBoundingClientRect();
  const inside = (x) => Math.min(Math.max(x, box.left), box.right) - box.left;
  cut.ends = [inside(cut.from), inside(event.clientX)].sort((one, other) => one - other);
  cut.mark.style.left = `${cut.ends[0]}px`;
  cut.mark.style.width = `${cut.ends[1] - cut.ends[0]}px`;
}

function endCut() {
  const { plot, mark, ends } = cut;
  cut = null;
  mark.remove();
  const width = plot.getBoundingClientRect().width;
  if (!ends || ends[1] - ends[0] < 8) return;
  const { xMin, xMax } = plot.closest("[data-chart]").dataset;
  const [from, to] = ends.map((end) => Number(xMin) + (end / width) * (Number(xMax) - Number(xMin)));
  const form = document.getElementById("compare-form");
  form.elements.from.value = Math.floor(from);
  form.elements.to.value = Math.ceil(to);
  form.requestSubmit();
}

// Ranges on axes: from the address, by the pointer, by the keyboard. Places run from 0 at the bottom to 1 at the top.
const ranges = new Map();
let brush = null;

function axes() {
  return [...document.querySelectorAll("#parallel .axis")];
}

function toPlace(axis, event) {
  const picture = document.getElementById("parallel");
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  const { top, bottom } = axis.dataset;
  return Math.min(Math.max((Number(bottom) - point.y) / (Number(bottom) - Number(top)), 0), 1);
}

function svg(name, attributes) {
  const element = document.createElementNS(document.getElementById("parallel").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function drawRange(axis) {
  const range = ranges.get(axis.dataset.axis);
  const { top, bottom, x } = axis.dataset;
  const height = Number(bottom) - Number(top);
  let mark = axis.querySelector(".range");
  if (!range) { mark?.remove(); return; }
  mark ??= axis.insertBefore(svg("rect", { class: "range", x: Number(x) - 9, width: 18, rx: 3 }), axis.querySelector(".handle"));
  mark.setAttribute("y", Number(bottom) - range[1] * height);
  mark.setAttribute("height", Math.max((range[1] - range[0]) * height, 1));
}

function filter() {
  const order = axes().map((axis) => axis.dataset.axis);
  let passing = 0;
  for (const line of document.querySelectorAll("#parallel [data-places]")) {
    const places = line.dataset.places.split(",");
    const passes = order.every((key, index) => {
      const range = ranges.get(key);
      if (!range) return true;
      return places[index] !== "" && Number(places[index]) >= range[0] - 1e-6 && Number(places[index]) <= range[1] + 1e-6;
    });
    line.classList.toggle("is-out", !passes);
    document.querySelector(`.plot-table tr[data-run="${line.dataset.run}"]`)?.classList.toggle("is-out", !passes);
    if (passes) passing += 1;
  }
  axes().forEach(drawRange);
  const words = document.getElementById("brush-count");
  words.textContent = ranges.size > 0 ? words.dataset.words.replace("#", passing) : "";
  document.getElementById("brush-clear").hidden = ranges.size === 0;
}

function remember() {
  const address = new URL(location.href);
  address.searchParams.delete("brush");
  for (const [key, [from, to]] of ranges) address.searchParams.append("brush", `${from.toFixed(3)}:${to.toFixed(3)}:${key}`);
  history.replaceState(null, "", address);
}

function attachParallel() {
  ranges.clear();
  if (!document.getElementById("parallel")) return;
  for (const text of new URLSearchParams(location.search).getAll("brush")) {
    const match = /^([\d.]+):([\d.]+):(.+)$/.exec(text);
    if (match) ranges.set(match[3], [Number(match[1]), Number(match[2])]);
  }
  for (const axis of axes()) {
    if (axis.querySelector(".handle")) continue;
    const { top, bottom, x } = axis.dataset;
    axis.append(svg("rect", { class: "handle", x: Number(x) - 14, y: top - 6, width: 28, height: bottom - top + 12 }));
    axis.setAttribute("tabindex", "0");
    axis.setAttribute("role", "group");
  }
  filter();
}

function brushKey(event) {
  const axis = event.target.closest?.("#parallel .axis");
  if (!axis) return;
  const key = axis.dataset.axis;
  if (event.key === "Escape" || event.key === "Delete") {
    ranges.delete(key);
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const range = ranges.get(key) ?? [0, 1];
    const moved = event.key === "ArrowUp" ? 0.05 : -0.05;
    const end = event.shiftKey ? 1 : 0;
    range[end] = Math.min(Math.max(range[end] + moved, end === 0 ? 0 : range[0]), end === 0 ? range[1] : 1);
    ranges.set(key, range);
  } else {
    return;
  }
  event.preventDefault();
  filter();
  remember();
}

export function startCompare() {
  attachParallel();
  document.addEventListener("fragua:exchanged", attachParallel);
  document.addEventListener("keydown", brushKey);
  document.addEventListener("pointerdown", (event) => {
    startCut(event);
    const axis = event.target.closest?.("#parallel .axis");
    if (!axis || event.button !== 0) return;
    event.preventDefault();
    axis.focus({ preventScroll: true });
    brush = { axis, from: toPlace(axis, event) };
    ranges.delete(axis.dataset.axis);
  });
  document.addEventListener("pointermove", (event) => {
    if (cut) { moveCut(event); return; }
    if (brush) {
      ranges.set(brush.axis.dataset.axis, [brush.from, toPlace(brush.axis, event)].sort((one, other) => one - other));
      filter();
      return;
    }
    const plot = chartAt(event);
    const legend = event.target.closest?.(".compared [data-series]");
    if (plot) readOff(plot, event);
    else if (legend) pick(legend.dataset.series);
    else unpick();
    if (!plot) for (const mark of document.querySelectorAll(".compare-curve :is(.tip, .crosshair)")) mark.remove();
  });
  document.addEventListener("pointerup", () => {
    if (cut) endCut();
    if (!brush) return;
    const range = ranges.get(brush.axis.dataset.axis);
    // A press without a movement takes the range away.
    if (range && range[1] - range[0] < 0.01) ranges.delete(brush.axis.dataset.axis);
    brush = null;
    filter();
    remember();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#brush-clear")) return;
    ranges.clear();
    filter();
    remember();
  });
}
