// Keeps "3 min ago" true while a page stays open, and adds the reader's own time to the UTC shown on hover.
import { decimal } from "./numbers.js";

const UNITS = [["hours", 3600], ["minutes", 60], ["seconds", 1]];
const DAY = 86400;

function readWords() {
  const meta = document.querySelector('meta[name="time-words"]');
  return meta ? JSON.parse(meta.content) : null;
}

function describe(seconds, words) {
  const distance = Math.abs(seconds);
  if (distance < 5) return words.now;
  const [unit, size] = UNITS.find(([, size]) => distance >= size);
  const direction = seconds > 0 ? "past" : "future";
  return words[`${unit}-${direction}`].replace("#", Math.floor(distance / size));
}

function update(words) {
  const language = document.documentElement.lang;
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const then = Date.parse(element.dateTime);
    if (Number.isNaN(then)) continue;
    if (!element.dataset.local) {
      element.dataset.local = new Date(then).toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
      element.title += `\n${element.dataset.local}`;
    }
    const seconds = (Date.now() - then) / 1000;
    if (Math.abs(seconds) < DAY) element.textContent = describe(seconds, words);
  }
}

// Written as the server writes time spans.
function span(millis) {
  if (millis < 1000) return `${Math.floor(millis)} ms`;
  if (millis < 60000) return decimal(`${(Math.floor(millis / 100) / 10).toFixed(1)} s`);
  const seconds = Math.floor(millis / 1000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < DAY) return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
  return `${Math.floor(seconds / DAY)} d ${two(Math.floor(seconds / 3600) % 24)} h`;
}

function grow() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const since = Date.parse(element.dataset.since);
    if (!Number.isNaN(since)) element.textContent = span(Math.max(0, Date.now() - since));
  }
}

export function startTimes() {
  const words = readWords();
  if (!words) return;
  const all = () => { update(words); grow(); };
  all();
  // Together, so that "8 s ago" and a duration of 8 s never disagree.
  setInterval(() => { if (!document.hidden) all(); }, 1000);
  document.addEventListener("fragua:exchanged", all);
}
