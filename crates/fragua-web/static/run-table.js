// A table of any length in a page of bounded size: the server renders parts of a hundred rows, this module fetches those
// that come into view, replaces those far away by an empty row of their height, and remembers what is selected.

const ROWS_PER_CHUNK = 100;
// A part is fetched before it is seen and let go when it is this many heights of the pane away.
const NEAR = 2;
const FAR = 6;
// Rows that come later may have longer numbers than the first ones: a column has room for one with an exponent.
const LONG_NUMBER = 116;

const selected = new Map();
// The parts that are on their way, each with what calls it off.
const loading = new Map();
let pane = null;
let last = null;
let waiting = false;

function bodies() {
  return [...pane.querySelectorAll("tbody[data-chunk]")];
}

function spacer(chunk, height, width) {
  const body = document.createElement("tbody");
  body.dataset.chunk = chunk;
  body.className = "is-waiting";
  const cell = body.insertRow().insertCell();
  cell.colSpan = width;
  cell.style.height = `${height}px`;
  return body;
}

function heads() {
  return [...pane.querySelector("thead tr:last-child").cells];
}

// A table lays its columns out anew with each part that comes or goes: in a long one they keep their widths, so that
// nothing moves sideways while it scrolls, and a part costs no more than itself.
function fixColumns() {
  const table = pane.querySelector("table");
  const width = (head) => Math.max(head.getBoundingClientRect().width, head.classList.contains("number") ? LONG_NUMBER : 0);
  const widths = heads().map(width);
  const columns = document.createElement("colgroup");
  for (const width of widths) {
    const column = document.createElement("col");
    column.style.width = `${width}px`;
    columns.append(column);
  }
  table.prepend(columns);
  table.style.width = `${widths.reduce((sum, width) => sum + width, 0)}px`;
  table.classList.add("is-fixed");
}

// Puts empty parts around the one that the server rendered, so that the bar shows how long the table is.
function lay() {
  const [rendered] = bodies();
  const total = Number(pane.dataset.total);
  const chunks = Math.ceil(total / ROWS_PER_CHUNK);
  const here = Number(rendered?.dataset.chunk ?? 0);
  if (!rendered || chunks < 2 || bodies().length > 1) return;
  fixColumns();
  const width = heads().length;
  const row = rendered.offsetHeight / Math.max(rendered.rows.length, 1);
  const size = (chunk) => row * Math.min(ROWS_PER_CHUNK, total - chunk * ROWS_PER_CHUNK);
  const table = rendered.parentElement;
  for (let chunk = 0; chunk < here; chunk += 1) table.insertBefore(spacer(chunk, size(chunk), width), rendered);
  for (let chunk = here + 1; chunk < chunks; chunk += 1) table.append(spacer(chunk, size(chunk), width));
  if (here > 0) pane.scrollTop = rendered.offsetTop - pane.querySelector("thead").offsetHeight;
}

async function load(body) {
  if (loading.has(body)) return;
  const leaving = new AbortController();
  loading.set(body, leaving);
  const address = new URL(pane.dataset.rows, location.href);
  address.searchParams.set("page", Number(body.dataset.chunk) + 1);
  for (const open of new URLSearchParams(location.search).getAll("open")) address.searchParams.append("open", open);
  try {
    const response = await fetch(address, { headers: { Accept: "text/html" }, signal: leaving.signal });
    if (!response.ok) throw new Error(response.statusText);
    const parsed = new DOMParser().parseFromString(`<table>${await response.text()}</table>`, "text/html");
    const fresh = parsed.querySelector("tbody");
    if (!body.isConnected || !fresh) return;
    body.replaceWith(document.adoptNode(fresh));
    for (const box of fresh.querySelectorAll("input[name=run]")) box.checked = selected.has(box.value);
  } catch {
    // The server is away, or the part is out of sight again: the next movement asks again.
  } finally {
    loading.delete(body);
  }
}

function settle() {
  waiting = false;
  if (!pane?.isConnected) return;
  const height = Math.max(pane.clientHeight, 400);
  const top = pane.scrollTop;
  const width = heads().length;
  // Everything is measured before anything changes, so that the browser lays the table out once.
  const places = bodies().map((body) => [body, body.offsetTop, body.offsetHeight]);
  for (const [body, start, size] of places) {
    const distance = Math.max(start - (top + height), top - (start + size), 0);
    if (body.classList.contains("is-waiting")) {
      if (distance < NEAR * height) load(body);
      else loading.get(body)?.abort();
    } else if (distance > FAR * height && !body.contains(document.activeElement)) {
      body.replaceWith(spacer(body.dataset.chunk, size, width));
    }
  }
  markBusy();
}

function later() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(settle);
}

// While somebody reads further down or has selected something, news must not exchange the table below their hands.
function markBusy() {
  const region = pane?.closest("[data-region]");
  if (region) region.dataset.region = pane.scrollTop > 0 || selected.size > 0 ? "static" : "live";
}

function boxes() {
  return [...pane.querySelectorAll("input[name=run]")];
}

function nameOf(box) {
  return box.closest("tr").querySelector(".cell-main").title;
}

function pick(box, isPicked) {
  box.checked = isPicked;
  if (isPicked) selected.set(box.value, nameOf(box));
  else selected.delete(box.value);
}

function show() {
  const form = document.getElementById("selection");
  if (!form) return;
  const count = selected.size;
  const words = document.getElementById("selection-count");
  form.dataset.idle ??= words.textContent;
  words.textContent = count === 0 ? form.dataset.idle : form.dataset.words.replace("#", count);
  form.classList.toggle("has-selection", count > 0);
  for (const button of form.querySelectorAll("[data-needs]")) {
    button.disabled = count < Number(button.dataset.needs) || count > Number(button.dataset.most ?? Infinity);
  }
  const all = document.getElementById("pick-all");
  if (all) {
    const loaded = boxes();
    const checked = loaded.filter((box) => box.checked).length;
    all.checked = checked > 0 && checked === loaded.length;
    all.indeterminate = checked > 0 && !all.checked;
  }
  const name = document.getElementById("run-name");
  if (name && count === 1) name.value ||= [...selected.values()][0];
  markBusy();
}

function pickRange(to, isPicked) {
  const all = boxes();
  const [from, until] = [all.indexOf(last), all.indexOf(to)].sort((one, other) => one - other);
  if (from < 0) { pick(to, isPicked); return; }
  for (const box of all.slice(from, until + 1)) pick(box, isPicked);
}

function onClick(event) {
  const box = event.target.closest?.("#run-table input[name=run]");
  if (box) {
    if (event.shiftKey && last?.isConnected) pickRange(box, box.checked);
    else pick(box, box.checked);
    last = box;
    show();
    return;
  }
  if (event.target.id === "pick-all") {
    for (const each of boxes()) pick(each, event.target.checked);
    show();
  } else if (event.target.closest?.("#selection-clear")) {
    selected.clear();
    for (const each of boxes()) each.checked = false;
    show();
    pane.focus({ preventScroll: true });
  } else if (event.target.closest?.("#run-table [data-expand]")) {
    expand(event);
  }
}

// Shows or hides the children of a run in place; the address says which are open.
async function expand(event) {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const link = event.target.closest("[data-expand]");
  const open = new URL(link.href).searchParams.getAll("open");
  const address = new URL(location.href);
  address.searchParams.delete("open");
  for (const run of open) address.searchParams.append("open", run);
  history.replaceState(null, "", address);
  const body = link.closest("tbody");
  await load(body);
  document.getElementById(link.id)?.focus({ preventScroll: true });
  // The links of other parts name the parents that were open when they were fetched.
  for (const other of bodies()) {
    if (other.dataset.chunk !== body.dataset.chunk && !other.classList.contains("is-waiting")) load(other);
  }
  show();
}

function onKey(event) {
  const box = event.target.closest?.("#run-table input[name=run]");
  if (!box || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  const all = boxes();
  const next = all[all.indexOf(box) + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  if (event.shiftKey) { pick(next, box.checked); last = next; show(); }
}

function onSubmit(event) {
  const form = event.target;
  if (form.id !== "selection") return;
  if (event.submitter?.getAttribute("formaction") === "/compare") {
    event.preventDefault();
    const query = new URLSearchParams([...selected.keys()].map((run) => ["run", run]));
    location.assign(`/compare?${query}`);
    return;
  }
  // Rows that are out of view are selected too, and have no box that the form could send.
  const shown = new Set(boxes().map((box) => box.value));
  for (const run of selected.keys()) {
    if (shown.has(run)) continue;
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "run", value: run });
    form.append(field);
  }
}

function onEnter(event) {
  if (event.key !== "Enter" || !event.target.matches?.("#selection .run-dialog input")) return;
  event.preventDefault();
  event.target.closest(".run-dialog").querySelector("button[name=do]").click();
}

function attach() {
  const found = document.getElementById("run-table");
  if (!found?.dataset.rows) { pane = null; return; }
  if (found === pane) return;
  // Another filter or order keeps the selection; another page of the site has another table.
  if (pane && pane.dataset.rows.split("?")[0] !== found.dataset.rows.split("?")[0]) selected.clear();
  pane = found;
  pane.addEventListener("scroll", later, { passive: true });
  // What was selected when a form was refused, and is not among the rows shown.
  for (const field of document.querySelectorAll("#selection > input[name=run]")) {
    selected.set(field.value, "");
    field.remove();
  }
  for (const box of boxes()) {
    if (box.checked) selected.set(box.value, nameOf(box));
    box.checked = selected.has(box.value);
  }
  lay();
  settle();
  show();
}

export function startRunTable() {
  attach();
  document.addEventListener("fragua:exchanged", attach);
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onEnter);
  document.addEventListener("submit", onSubmit);
  addEventListener("resize", later);
}
