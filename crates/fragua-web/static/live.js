// Keeps the parts marked data-region="live" up to date: the server says that something changed, the page is fetched
// again, and only the parts that differ are exchanged. A hidden tab holds no connection.
import { exchange, fetchPage } from "./regions.js";

const SHORTEST_PAUSE = 400;

export function startLive() {
  const address = document.body.dataset.events;
  if (!address) return;
  let source = null;
  let timer = null;
  let isFetching = false;
  let isStale = false;

  async function refresh() {
    if (isFetching) { isStale = true; return; }
    isFetching = true;
    try {
      const asked = location.href;
      const page = await fetchPage(asked);
      // What the reader has chosen meanwhile is at another address: an answer for the old one would undo it.
      if (asked !== location.href) isStale = true;
      else if (page) exchange(page.document, { onlyLive: true });
    } catch { /* the server is away; the stream will reconnect and ask again */ }
    isFetching = false;
    if (isStale) { isStale = false; later(); }
  }

  function later() {
    timer ??= setTimeout(() => { timer = null; refresh(); }, SHORTEST_PAUSE);
  }

  function open() {
    if (source) return;
    source = new EventSource(address);
    source.addEventListener("change", later);
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); return; }
    open();
    later();
  });
  addEventListener("pagehide", close);
  if (!document.hidden) open();
}
