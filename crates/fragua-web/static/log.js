// Follows the log of one attempt. The server rendered what there was; this module asks for what comes after it.
// A log that grows for hours must not fill the tab's memory.
const MOST_LINES = 20000;

let source = null;
let following = null;

function part(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function lineElement(text) {
  const line = document.createElement("span");
  line.className = "log-line";
  const level = /\b(ERROR|CRITICAL|WARN(?:ING)?)\b/.exec(text)?.[1];
  if (level) line.classList.add(level.startsWith("WARN") ? "is-warning" : "is-error");
  const parts = /^\S+T(\d\S+)Z (out|err|fragua) (.*)$/s.exec(text);
  if (parts) {
    line.append(part("log-time", `${parts[1]} `), part(`log-source is-${parts[2]}`, `${parts[2]} `), `${parts[3]}\n`);
  } else {
    line.textContent = `${text}\n`;
  }
  return line;
}

function isWanted(line, wanted) {
  return !wanted || line.textContent.toLowerCase().includes(wanted);
}

function search(log) {
  const field = document.getElementById("log-find");
  const wanted = field?.value.trim().toLowerCase() ?? "";
  let shown = 0;
  for (const line of log.querySelectorAll(".log-line")) {
    line.hidden = !isWanted(line, wanted);
    if (!line.hidden) shown += 1;
  }
  const count = document.getElementById("log-found");
  if (count) count.textContent = wanted ? String(shown) : "";
}

function isFollowed() {
  return document.getElementById("log-follow")?.getAttribute("aria-pressed") === "true";
}

function toEnd(log) {
  if (isFollowed()) log.scrollTop = log.scrollHeight;
}

function close() {
  source?.close();
  source = null;
  following = null;
}

function attach() {
  const log = document.getElementById("log");
  if (!log?.dataset.stream) { close(); return; }
  if (following === log) return;
  close();
  following = log;
  toEnd(log);
  if (document.hidden) return;
  let open = null;
  source = new EventSource(log.dataset.stream);
  source.addEventListener("log", (event) => {
    const piece = JSON.parse(event.data);
    const lines = ((open?.dataset.text ?? "") + piece.text).split("\n");
    open?.remove();
    open = null;
    const wanted = document.getElementById("log-find")?.value.trim().toLowerCase() ?? "";
    const rest = lines.pop();
    const fragment = document.createDocumentFragment();
    for (const text of lines) fragment.append(lineElement(text));
    if (rest) {
      open = lineElement(rest);
      open.dataset.text = rest;
      fragment.append(open);
    }
    for (const line of fragment.children) line.hidden = !isWanted(line, wanted);
    document.getElementById("log-empty")?.remove();
    log.append(fragment);
    for (let surplus = log.childElementCount - MOST_LINES; surplus > 0; surplus -= 1) log.firstElementChild.remove();
    log.dataset.stream = piece.stream;
    toEnd(log);
  });
  source.addEventListener("end", () => {
    source?.close();
    source = null;
    document.getElementById("log-live")?.remove();
  });
}

export function startLog() {
  attach();
  document.addEventListener("fragua:exchanged", attach);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; following = null; } else { attach(); }
  });
  addEventListener("pagehide", close);
  document.addEventListener("input", (event) => {
    if (event.target.id === "log-find") search(document.getElementById("log"));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#log-follow");
    if (!button) return;
    button.setAttribute("aria-pressed", String(!isFollowed()));
    toEnd(document.getElementById("log"));
  });
  document.addEventListener("scroll", (event) => {
    if (event.target.id !== "log") return;
    const log = event.target;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    if (!isAtEnd) document.getElementById("log-follow")?.setAttribute("aria-pressed", "false");
  }, true);
}
