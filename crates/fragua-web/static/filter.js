// Completion of the filter of runs: what the language allows at the caret, with the keys that the experiment has.
// The field is a combobox: the arrows move, Enter and Tab take, Escape closes, Control and space ask.
import { knownWords } from "./columns.js";

const STATUSES = ["FINISHED", "RUNNING", "FAILED", "KILLED", "SCHEDULED"];
const MOST = 60;
const TOKEN = /\s+|'(?:[^']|'')*'?|"[^"]*"?|`[^`]*`?|[<>!=]+|[(),]|(?:[^\s'"`<>!=(),]|`[^`]*`)+/gy;

let active = -1;
let asked = 0;

function tokens(text) {
  TOKEN.lastIndex = 0;
  const found = [];
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) found.push({ text: match[0], start: match.index });
  return found;
}

function isBlank(token) {
  return !token || /^\s/.test(token.text);
}

// The operators that the language has for a key.
function operatorsOf(key, words) {
  const plain = key.replace(/^(attributes?|attr|run)\./i, "");
  const kind = key.includes(".") ? `${key.split(".")[0].replace(/s?$/, "s")}.` : "";
  return words.terms.find((term) => term.text === plain || term.text === key || term.text === kind)?.operators ?? [];
}

// Says what may stand at the caret: the words and the part of the text that one of them would replace.
function expect(before, words) {
  const all = tokens(before);
  const open = isBlank(all.at(-1)) ? null : all.at(-1);
  const past = all.filter((token) => !isBlank(token));
  if (open) past.pop();
  // What follows the last "and" is the condition that is being written.
  const lastAnd = past.findLastIndex((token) => /^and$/i.test(token.text));
  const clause = past.slice(lastAnd + 1).map((token) => token.text);
  const start = open ? open.start : before.length;
  const typed = open?.text ?? "";
  const at = (choices, suffix = " ") => ({ start, typed, choices, suffix });
  if (clause.length === 0) {
    const named = (kind, list) => list.map((name) => `${kind}.${/^[\w.]+$/.test(name) ? name : `\`${name}\``}`);
    const begins = words.terms.map(({ text }) => (text.includes(".") ? text : `attributes.${text}`));
    const groups = begins.filter((text) => text.endsWith("."));
    const known = [...named("metrics", words.metrics), ...named("params", words.params), ...named("tags", words.tags)];
    const attributes = begins.filter((text) => !text.endsWith("."));
    return at([...groups.filter((text) => text !== typed), ...known, ...attributes]);
  }
  const key = clause[0];
  if (clause.length === 1) return at(operatorsOf(key, words));
  const rest = clause.slice(1).join(" ").toUpperCase();
  if (/^IS( NOT)?$/.test(rest)) return at(rest === "IS" ? ["NULL", "NOT NULL"] : ["NULL"]);
  if (rest === "NOT") return at(["IN"]);
  if (/NULL$/.test(rest) || clause.length > 2 && !/^(NOT )?IN\b/.test(rest)) return at(["AND"]);
  if (/^(attributes?\.|attr\.|run\.)?status$/i.test(key)) return at(STATUSES.map((status) => `'${status}'`));
  return at([]);
}

// Words that begin with what is typed come before those that only hold it.
function rank(words, typed) {
  const wanted = typed.toLowerCase().replaceAll("`", "");
  const place = (word) => {
    const plain = word.toLowerCase().replaceAll("`", "");
    const name = plain.slice(plain.indexOf(".") + 1);
    if (plain === wanted) return 3;
    if (plain.startsWith(wanted)) return 0;
    if (name.startsWith(wanted)) return 1;
    return plain.includes(wanted) ? 2 : -1;
  };
  return words
    .map((word) => [place(word), word])
    .filter(([found]) => found >= 0 && found < 3)
    .sort(([one], [other]) => one - other)
    .slice(0, MOST)
    .map(([, word]) => word);
}

function list() {
  return document.getElementById("filter-choices");
}

function close(field) {
  active = -1;
  asked += 1;
  list()?.replaceChildren();
  if (list()) list().hidden = true;
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}

function activate(field, index) {
  const options = [...list().children];
  active = options.length === 0 ? -1 : (index + options.length) % options.length;
  options.forEach((option, place) => option.setAttribute("aria-selected", String(place === active)));
  if (active < 0) return;
  field.setAttribute("aria-activedescendant", options[active].id);
  options[active].scrollIntoView({ block: "nearest" });
}

async function open(field) {
  const mine = ++asked;
  const words = await knownWords(field.closest("[data-words]").dataset.words);
  if (mine !== asked || document.activeElement !== field) return;
  const before = field.value.slice(0, field.selectionStart);
  const { start, typed, choices, suffix } = expect(before, words);
  const ranked = rank(choices, typed);
  if (ranked.length === 0) { close(field); return; }
  list().replaceChildren(...ranked.map((word, index) => {
    const option = document.createElement("li");
    option.id = `filter-choice-${index}`;
    option.role = "option";
    option.setAttribute("aria-selected", "false");
    option.textContent = word;
    option.dataset.start = start;
    option.dataset.suffix = word.endsWith(".") ? "" : suffix;
    return option;
  }));
  list().hidden = false;
  list().scrollTop = 0;
  active = -1;
  field.setAttribute("aria-expanded", "true");
  field.removeAttribute("aria-activedescendant");
}

function take(field, option) {
  const start = Number(option.dataset.start);
  const word = option.textContent + option.dataset.suffix;
  const rest = field.value.slice(field.selectionStart).replace(/^[^\s]*\s?/, "");
  field.value = field.value.slice(0, start) + word + rest;
  field.setSelectionRange(start + word.length, start + word.length);
  open(field);
}

function dress() {
  const field = document.getElementById("filter");
  if (!field?.closest(".combobox") || field.role === "combobox") return;
  field.role = "combobox";
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", "filter-choices");
  field.setAttribute("aria-expanded", "false");
}

function onKey(event) {
  const field = event.target;
  if (field.id !== "filter" || field.role !== "combobox") return;
  const isOpen = list().hidden === false;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!isOpen) open(field);
    else activate(field, active < 0 && event.key === "ArrowUp" ? -1 : active + (event.key === "ArrowDown" ? 1 : -1));
  } else if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    open(field);
  } else if (isOpen && event.key === "Escape") {
    event.preventDefault();
    close(field);
  } else if (isOpen && active >= 0 && (event.key === "Enter" || event.key === "Tab")) {
    event.preventDefault();
    take(field, list().children[active]);
  } else if (event.key === "Enter") {
    close(field);
  }
}

export function startFilter() {
  dress();
  document.addEventListener("fragua:exchanged", dress);
  document.addEventListener("keydown", onKey);
  document.addEventListener("input", (event) => {
    if (event.target.id === "filter" && event.target.role === "combobox") open(event.target);
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.id === "filter" && event.target.role === "combobox" && event.target.value === "") open(event.target);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.id === "filter" && event.target.role === "combobox") close(event.target);
  });
  // The field must keep the focus while the pointer takes a choice.
  document.addEventListener("mousedown", (event) => {
    const option = event.target.closest?.("#filter-choices [role=option]");
    if (!option) return;
    event.preventDefault();
    take(document.getElementById("filter"), option);
  });
}
