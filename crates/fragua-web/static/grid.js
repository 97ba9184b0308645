// Moves through the grid of runs and tasks with the pointer and the arrow keys. The cells carry a class and a sign only;
// what else is known of them stands on their row, and is put together here.
import { decimal } from "./numbers.js";

let current = null; // { task, run }: survives an exchange of the grid

const place = (grid) => ({
  rows: [...grid.querySelectorAll("tbody tr")],
  heads: [...grid.querySelectorAll("thead a[data-run]")],
  words: JSON.parse(grid.dataset.words),
});

function span(millis) {
  if (millis < 1000) return `${millis} ms`;
  if (millis < 60000) return decimal(`${(Math.floor(millis / 100) / 10).toFixed(1)} s`);
  const seconds = Math.floor(millis / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
}

function describe(cell, head, words) {
  const row = cell.parentElement;
  const index = cell.cellIndex - 1;
  const [took, attempts] = (row.dataset.figures.split(" ")[index] ?? ".").split(".");
  const state = [...cell.classList].find((name) => name.startsWith("state-"));
  const lines = [row.dataset.task, head.dataset.run, cell.dataset.counts ?? words[state] ?? words["none-yet"]];
  if (took) lines.push(`${words.duration}: ${span(parseInt(took, 36))}`);
  if (parseInt(attempts, 36) > 1) lines.push(`${words.attempts}: ${parseInt(attempts, 36)}`);
  return lines;
}

function tip(grid) {
  let element = document.getElementById("grid-tip");
  if (!element) {
    element = document.createElement("div");
    element.id = "grid-tip";
    element.className = "grid-tip";
    element.hidden = true;
    document.body.append(element);
  }
  return element;
}

function show(grid, cell) {
  const { heads, words } = place(grid);
  const head = heads[cell.cellIndex - 1];
  if (!head) return;
  const element = tip(grid);
  element.replaceChildren(...describe(cell, head, words).map((text, index) => {
    const line = document.createElement(index === 0 ? "strong" : "span");
    line.textContent = text;
    return line;
  }));
  element.hidden = false;
  const box = cell.getBoundingClientRect();
  const size = element.getBoundingClientRect();
  const left = Math.max(4, Math.min(box.left, innerWidth - size.width - 8));
  const below = box.bottom + 6 + size.height < innerHeight;
  element.style.left = `${left}px`;
  element.style.top = `${below ? box.bottom + 6 : box.top - size.height - 6}px`;
}

function hide() {
  const element = document.getElementById("grid-tip");
  if (element) element.hidden = true;
}

function addressOf(grid, cell) {
  const head = place(grid).heads[cell.cellIndex - 1];
  if (!head) return null;
  const row = cell.parentElement;
  if (row.classList.contains("is-group")) return head.href;
  return `${head.href}?task=${encodeURIComponent(row.dataset.task)}`;
}

function mark(grid, cell) {
  for (const other of grid.querySelectorAll("td.is-active")) other.classList.remove("is-active");
  if (!cell) { grid.removeAttribute("aria-activedescendant"); return; }
  cell.classList.add("is-active");
  cell.id = "grid-cell";
  for (const other of grid.querySelectorAll("#grid-cell")) if (other !== cell) other.removeAttribute("id");
  const { heads, words } = place(grid);
  cell.setAttribute("aria-label", describe(cell, heads[cell.cellIndex - 1], words).join(", "));
  grid.setAttribute("aria-activedescendant", "grid-cell");
  cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  current = { task: cell.parentElement.dataset.task, run: heads[cell.cellIndex - 1].dataset.run };
  show(grid, cell);
}

function find(grid) {
  if (!current) return null;
  const { rows, heads } = place(grid);
  const row = rows.findIndex((row) => row.dataset.task === current.task);
  const column = heads.findIndex((head) => head.dataset.run === current.run);
  return row < 0 || column < 0 ? null : { row, column };
}

function move(grid, event) {
  const { rows, heads } = place(grid);
  if (rows.length === 0 || heads.length === 0) return;
  const at = find(grid) ?? { row: 0, column: heads.length - 1, isNew: true };
  const steps = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -heads.length], End: [0, heads.length], PageUp: [-rows.length, 0], PageDown: [rows.length, 0],
  };
  const step = steps[event.key];
  if (step) {
    event.preventDefault();
    const clamp = (value, most) => Math.max(0, Math.min(most - 1, value));
    const row = at.isNew ? at.row : clamp(at.row + step[0], rows.length);
    const column = at.isNew ? at.column : clamp(at.column + step[1], heads.length);
    mark(grid, rows[row].cells[column + 1]);
  } else if (event.key === "Enter" && !at.isNew && event.target === grid) {
    event.preventDefault();
    location.assign(addressOf(grid, rows[at.row].cells[at.column + 1]));
  } else if (event.key === "Escape") {
    hide();
  }
}

export function startGrid() {
  const gridOf = (event) => event.target.closest?.("[data-grid]");
  document.addEventListener("pointerover", (event) => {
    const grid = gridOf(event);
    const cell = grid && event.target.closest("tbody td");
    if (cell) show(grid, cell); else hide();
  });
  document.addEventListener("click", (event) => {
    const grid = gridOf(event);
    const cell = grid && event.target.closest("tbody td[class]");
    const address = cell && addressOf(grid, cell);
    if (!address) return;
    if (event.ctrlKey || event.metaKey) window.open(address, "_blank", "noopener"); else location.assign(address);
  });
  document.addEventListener("keydown", (event) => {
    const grid = gridOf(event);
    if (grid) move(grid, event);
  });
  document.addEventListener("focusout", (event) => { if (gridOf(event)) hide(); });
  // A key that moves to a cell out of sight scrolls there, a moment after its tip was shown: the tip follows.
  document.addEventListener("scroll", () => {
    const grid = document.activeElement?.closest("[data-grid]");
    const cell = grid?.querySelector("td.is-active");
    if (cell) show(grid, cell); else hide();
  }, true);
  const begin = () => {
    const grid = document.querySelector("[data-grid]");
    if (!grid) { hide(); return; }
    if (!grid.dataset.begun) {
      grid.dataset.begun = "1";
      if (!current) grid.scrollLeft = grid.scrollWidth;
    }
    const at = find(grid);
    if (at && document.activeElement === grid) mark(grid, place(grid).rows[at.row].cells[at.column + 1]);
  };
  document.addEventListener("fragua:exchanged", begin);
  begin();
}
