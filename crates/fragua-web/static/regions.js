// A page marks the parts that may be exchanged with data-region and an id. This module exchanges them for the parts of
// a freshly rendered page and leaves everything else, with its focus, scroll and open dialogs, as it is.

export async function fetchPage(address, options = {}) {
  const response = await fetch(address, {
    ...options,
    headers: { ...options.headers, Accept: "text/html" },
    credentials: "same-origin",
  });
  const kind = response.headers.get("content-type") ?? "";
  if (!kind.startsWith("text/html")) return null;
  const text = await response.text();
  return { address: response.url, document: new DOMParser().parseFromString(text, "text/html") };
}

function isBusy(region) {
  if (region.querySelector(":popover-open, [data-hold]")) return true;
  const focused = document.activeElement;
  return region.contains(focused) && focused.matches("input, textarea, select");
}

// What a reader asked for and the address does not hold, such as how a test went, is marked data-hold: it stays.
// Exchanges the regions of this page that exist in the other. With onlyLive, only those marked data-region="live",
// and none in which somebody is typing or deciding.
export function exchange(fresh, { onlyLive = false } = {}) {
  const focused = document.activeElement;
  const focusId = focused?.id;
  const selection = focused && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  let exchanged = false;
  for (const region of document.querySelectorAll("[data-region]")) {
    if (!region.isConnected) continue;
    const other = fresh.getElementById(region.id);
    if (!other) continue;
    if (onlyLive && (region.dataset.region !== "live" || isBusy(region))) continue;
    if (onlyLive && region.dataset.version !== undefined && region.dataset.version === other.dataset.version) continue;
    if (region.innerHTML === other.innerHTML) continue;
    const scrolled = [...region.querySelectorAll("[data-keep-scroll]")].map((part) => [part.id, part.scrollLeft, part.scrollTop]);
    // Where a dialog begins matters when it opens; a browser would look for it when the part comes in, and complain.
    const begins = [...other.querySelectorAll("[popover] [autofocus]")];
    for (const begin of begins) begin.removeAttribute("autofocus");
    region.replaceWith(document.adoptNode(other));
    for (const begin of begins) begin.setAttribute("autofocus", "");
    for (const [id, left, top] of scrolled) document.getElementById(id)?.scrollTo({ left, top });
    exchanged = true;
  }
  if (focusId && !document.activeElement?.isSameNode(focused)) {
    const again = document.getElementById(focusId);
    // What somebody types into a search while its answer is on the way stays; the next answer will be about it.
    if (again && focused.type === "search") again.value = focused.value;
    again?.focus({ preventScroll: true });
    if (again && selection && selection[0] !== null) {
      try { again.setSelectionRange(...selection); } catch { /* number and date fields have no selection */ }
    }
  }
  if (exchanged) document.dispatchEvent(new CustomEvent("fragua:exchanged"));
  return exchanged;
}

export function announce(text) {
  const place = document.getElementById("announce");
  if (place && text) place.textContent = text;
}
