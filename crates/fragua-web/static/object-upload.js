// Uploads of files and folders: dropped or chosen, some at a time, with their progress. Large files go in parts; what
// was sent of one goes on when it is chosen again, in this page or a later one.
import { decimal } from "./numbers.js";
import { exchange, fetchPage } from "./regions.js";

const AT_ONCE = 3;
const PART_BYTES = 16 * 1024 * 1024;
const MOST_PARTS = 10_000;
const MOST_ROWS = 200;

const queue = [];
const running = new Set();
// Of all files but those given up. They are counted as they change: a folder may have a hundred thousand.
const totals = { files: 0, bytes: 0, done: 0, doneBytes: 0 };
let panel = null;

const word = (name) => panel.dataset[name];

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return decimal(`${bytes.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`);
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function button(text, act) {
  const made = element("button", "button button-small", text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

// One row for each file, made when it begins: of a folder with thousands only those that matter are shown.
function row(item) {
  if (item.row) return item.row;
  item.row = document.createElement("li");
  item.note = element("span", "upload-note");
  item.bar = document.createElement("progress");
  item.actions = element("span", "actions");
  const name = element("span", "upload-name", item.key);
  name.title = item.key;
  item.row.append(name, item.note, item.actions, item.bar);
  const rows = panel.querySelector("[data-upload-rows]");
  rows.prepend(item.row);
  const old = [...rows.querySelectorAll(".is-done")].slice(MOST_ROWS);
  for (const done of old) done.remove();
  return item.row;
}

function show(item) {
  row(item);
  item.row.className = `is-${item.state}`;
  const amount = `${size(item.sent)} / ${size(item.file.size)}`;
  item.note.textContent = item.state === "running" ? amount
    : item.state === "failed" ? `${word("failed")}: ${item.problem}`
    : word(item.state);
  item.bar.hidden = item.state !== "running";
  item.bar.max = Math.max(item.file.size, 1);
  item.bar.value = item.sent;
  if (item.shown === item.state) return;
  item.shown = item.state;
  // Whoever stood on a button that goes away stays at the row.
  if (item.actions.contains(document.activeElement)) {
    item.row.tabIndex = -1;
    item.row.focus();
  }
  item.actions.replaceChildren();
  if (item.state === "running") item.actions.append(button(word("cancel"), () => cancel(item)));
  if (item.state === "failed") item.actions.append(button(word("resume"), () => add(item)));
}

function become(item, state) {
  if (!item.state) {
    totals.files++;
    totals.bytes += item.file.size;
  }
  item.state = state;
  if (state === "canceled") {
    totals.files--;
    totals.bytes -= item.file.size;
  }
  if (state === "done") {
    totals.done++;
    totals.doneBytes += item.file.size;
  }
}

function sum() {
  let sent = totals.doneBytes;
  for (const item of running) if (item.state === "running") sent += item.sent;
  panel.querySelector("[data-upload-sum]").textContent = `${totals.done} / ${totals.files} · ${size(sent)} / ${size(totals.bytes)}`;
  const bar = panel.querySelector("[data-upload-progress]");
  bar.max = Math.max(totals.bytes, 1);
  bar.value = sent;
  panel.querySelector("[data-upload-cancel-all]").hidden = running.size === 0 && queue.length === 0;
}

let drawing = false;
function soon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const item of running) if (item.state === "running") show(item);
    sum();
  });
}

// Sends a request and tells how far its body is. A failure tells what the server said.
function send(item, method, path, body, progress) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open(method, `${item.bucket}${path}`);
    request.setRequestHeader("Accept", "application/json");
    if (progress) request.upload.addEventListener("progress", ({ loaded }) => progress(loaded));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) done(request.responseText ? JSON.parse(request.responseText) : null);
      else fail(Object.assign(new Error(request.responseText.trim() || request.statusText), { status: request.status }));
    });
    request.addEventListener("error", () => fail(new Error(word("network"))));
    request.addEventListener("abort", () => fail(new Error("canceled")));
    item.requests.add(request);
    request.addEventListener("loadend", () => item.requests.delete(request));
    request.send(body);
  });
}

const named = (item, more = {}) => new URLSearchParams({ key: item.key, ...more }).toString();
// A file that was changed meanwhile is another one.
const memory = (item) => `fragua-upload:${item.bucket}:${item.key}:${item.file.size}:${item.file.lastModified}`;

function remember(item, upload) {
  try {
    if (upload) localStorage.setItem(memory(item), upload);
    else localStorage.removeItem(memory(item));
  } catch { /* without it an upload begins anew in a later page */ }
}

function remembered(item) {
  try { return localStorage.getItem(memory(item)); } catch { return null; }
}

// Returns the parts that are there of an upload that was begun, or begins one.
async function begin(item) {
  const before = item.upload ?? remembered(item);
  if (before) {
    try {
      const { parts } = await send(item, "GET", `/uploads/parts?${named(item, { upload: before })}`);
      item.upload = before;
      return new Map(parts.map((part) => [part.number, part.size]));
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  const slice = item.file.slice(0, 0, item.file.type);
  item.upload = (await send(item, "POST", `/uploads?${named(item)}`, slice)).upload;
  remember(item, item.upload);
  return new Map();
}

async function sendParts(item) {
  const partBytes = Math.max(PART_BYTES, Math.ceil(item.file.size / MOST_PARTS));
  const there = await begin(item);
  let sent = 0;
  for (let number = 1, start = 0; start < item.file.size; number++, start += partBytes) {
    const part = item.file.slice(start, start + partBytes);
    if (there.get(number) !== part.size) {
      const path = `/uploads/part?${named(item, { upload: item.upload, number })}`;
      await send(item, "PUT", path, part, (loaded) => { item.sent = sent + loaded; soon(); });
    }
    sent += part.size;
    item.sent = sent;
    soon();
  }
  await send(item, "POST", `/uploads/complete?${named(item, { upload: item.upload, size: item.file.size })}`);
  remember(item, null);
}

async function run(item) {
  become(item, "running");
  item.sent = 0;
  show(item);
  try {
    if (item.file.size > PART_BYTES) await sendParts(item);
    else await send(item, "PUT", `/content?${named(item)}`, item.file, (loaded) => { item.sent = loaded; soon(); });
    if (item.state === "canceled") return;
    item.sent = item.file.size;
    become(item, "done");
  } catch (error) {
    if (item.state === "canceled") return;
    become(item, "failed");
    item.problem = error.message;
  }
}

function cancel(item) {
  become(item, "canceled");
  for (const request of item.requests) request.abort();
  if (item.upload) {
    const upload = item.upload;
    item.upload = null;
    remember(item, null);
    send(item, "POST", `/uploads/abort?${named(item, { upload })}`).catch(() => { /* rules give it up later */ });
  }
  show(item);
  sum();
}

function pump() {
  while (running.size < AT_ONCE && queue.length > 0) {
    const item = queue.shift();
    running.add(item);
    run(item).finally(() => {
      running.delete(item);
      show(item);
      pump();
      if (running.size === 0) idle();
    });
  }
  soon();
}

async function idle() {
  panel.querySelector("[data-upload-status]").textContent = panel.querySelector("[data-upload-sum]").textContent;
  // What somebody ticked stays ticked; the list is read again another time.
  if (document.querySelector("#object-rows .pick input:checked")) return;
  try {
    const page = await fetchPage(location.href);
    if (page) exchange(page.document);
  } catch { /* what was uploaded shows with the next page */ }
}

function add(item) {
  become(item, "waiting");
  queue.push(item);
  panel.hidden = false;
  pump();
}

// Where files go that are chosen now: somebody may look at another folder before all of them are found.
function here() {
  const place = document.getElementById("objects");
  return place && { bucket: place.dataset.bucket, folder: place.dataset.drop };
}

function enqueue(files, { bucket, folder }) {
  for (const { file, path } of files) {
    add({ file, key: `${folder}${path}`, bucket, sent: 0, requests: new Set() });
  }
}

function chosen(input) {
  return [...(input?.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

// Files of a dropped folder are read a hundred at a time: that is how browsers give them. What cannot be read is told of
// and holds up nothing else.
async function* below(entry, path) {
  const name = `${path}${entry.name}`;
  try {
    if (entry.isFile) {
      yield { file: await new Promise((done, fail) => entry.file(done, fail)), path: name };
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (some.length === 0) return;
      for (const child of some) yield* below(child, `${name}/`);
    }
  } catch (error) {
    yield { problem: error.message, path: name };
  }
}

async function dropped(transfer, place) {
  // Entries must be taken before the event is over.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) {
    enqueue([...transfer.files].map((file) => ({ file, path: file.name })), place);
    return;
  }
  for (const entry of entries) {
    for await (const found of below(entry, "")) {
      if (found.file) enqueue([found], place);
      else unreadable(found);
    }
  }
}

function unreadable({ path, problem }) {
  panel.hidden = false;
  const said = element("li", "is-failed");
  said.append(element("span", "upload-name", path), element("span", "upload-note", `${word("failed")}: ${problem}`));
  panel.querySelector("[data-upload-rows]").prepend(said);
}

export function startObjectUploads() {
  panel = document.getElementById("upload-panel");
  if (!panel) return;
  const isBusy = () => running.size > 0 || queue.length > 0;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-object-upload]")) return;
    event.preventDefault();
    const inputs = [...form.querySelectorAll("input[type=file]")];
    const files = inputs.flatMap(chosen);
    const place = here();
    if (files.length === 0 || !place) return;
    enqueue(files, place);
    form.reset();
    form.closest("[popover]")?.hidePopover();
  });
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    const place = document.getElementById("objects");
    if (!place || !hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    place.classList.add("is-dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.getElementById("objects")?.classList.remove("is-dropping");
  });
  document.addEventListener("drop", (event) => {
    const place = here();
    if (!place || !hasFiles(event)) return;
    event.preventDefault();
    document.getElementById("objects").classList.remove("is-dropping");
    dropped(event.dataTransfer, place);
  });
  panel.querySelector("[data-upload-cancel-all]").addEventListener("click", () => {
    // Those that never began have no rows, and get none.
    for (const item of queue.splice(0)) become(item, "canceled");
    for (const item of running) if (item.state === "running") cancel(item);
    sum();
  });
  panel.querySelector("[data-upload-close]").addEventListener("click", () => { panel.hidden = true; });
  addEventListener("beforeunload", (event) => { if (isBusy()) event.preventDefault(); });
}
