// The list of objects: how many are ticked, and the next page below this one as somebody scrolls there. Beyond some
// thousand rows a page takes the place of the last, so that the browser stays quick however many objects there are.
import { fetchPage } from "./regions.js";

const MOST_ROWS = 5000;
const MOST_EMPTY = 5;
let empty = 0;

function count() {
  const bar = document.querySelector("[data-selection]");
  if (!bar) return;
  const number = document.querySelectorAll("#object-rows .pick input:checked").length;
  const place = bar.querySelector("[data-selection-count]");
  place.dataset.hint ??= place.textContent;
  place.textContent = number === 0 ? place.dataset.hint : `${place.dataset.word}: ${number}`;
  bar.classList.toggle("has-selection", number > 0);
}

async function more(link) {
  if (link.dataset.busy) return;
  link.dataset.busy = "1";
  try {
    const page = await fetchPage(link.href);
    const fresh = page?.document.getElementById("object-foot");
    // Whoever went to another folder meanwhile sees that one.
    if (!link.isConnected) return;
    const rows = document.getElementById("object-rows");
    const added = page?.document.getElementById("object-rows");
    if (!fresh || !added) { location.assign(link.href); return; }
    const all = document.querySelector(".object-table thead .pick input");
    for (const row of [...added.children]) {
      const box = row.querySelector(".pick input");
      if (box && all?.checked) box.checked = true;
      rows.append(document.adoptNode(row));
    }
    const foot = document.getElementById("object-foot");
    const next = fresh.querySelector("[data-more]");
    const isFocused = link === document.activeElement;
    if (next) link.replaceWith(document.adoptNode(next));
    else link.remove();
    // Whoever pressed it with a key goes on from here.
    if (isFocused) (next ?? rows.lastElementChild?.querySelector("a"))?.focus({ preventScroll: true });
    empty = added.children.length ? 0 : empty + 1;
    const number = foot.querySelector("[data-row-count]");
    number.textContent = `${number.dataset.word}: ${rows.children.length}`;
    count();
    watch();
  } catch {
    delete link.dataset.busy;
  }
}

// With Shift all between the last box and this one become as this one.
let last = null;
function range(box) {
  const boxes = [...document.querySelectorAll("#object-rows .pick input")];
  const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((one, other) => one - other);
  if (from < 0) return;
  for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
}

let observer = null;

function watch() {
  observer?.disconnect();
  const link = document.querySelector("#object-foot [data-more]");
  const rows = document.getElementById("object-rows");
  // Where page after page has nothing to show, somebody has to ask for more.
  if (!link || !rows || rows.children.length >= MOST_ROWS || empty >= MOST_EMPTY) return;
  observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) more(link);
  }, { rootMargin: "600px" });
  observer.observe(link);
}

export function startObjects() {
  document.addEventListener("change", (event) => {
    if (event.target.closest?.(".object-table")) count();
  });
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("#object-rows .pick input");
    if (box && event.shiftKey) range(box);
    if (box) last = box;
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-more]");
    const rows = document.getElementById("object-rows");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || rows.children.length >= MOST_ROWS) return;
    event.preventDefault();
    more(link);
  });
  document.addEventListener("fragua:exchanged", () => { empty = 0; count(); watch(); });
  count();
  watch();
}
