// Links and forms with data-swap change the page without a reload: the address is kept in step, so that back, forward
// and bookmarks work as ever. On any doubt the browser does what it would have done without this module.
import { announce, exchange, fetchPage } from "./regions.js";

let latest = 0;
// Why the last form was refused, where its page says so.
let refusal = "";

function goOnAt(field) {
  field?.focus();
  if (field?.matches("input[type=text], input:not([type]), textarea")) field.setSelectionRange(field.value.length, field.value.length);
}

async function show(address, options, { push }) {
  const mine = ++latest;
  document.documentElement.toggleAttribute("data-loading", true);
  try {
    const page = await fetchPage(address, options);
    if (mine !== latest) return true;
    if (!page || !page.document.querySelector("[data-region]")) {
      refusal = page?.document.querySelector(".error-detail")?.textContent ?? "";
      return false;
    }
    // What opens was asked for: it is where to go on. A browser begins somewhere only where nothing has the focus yet.
    const begin = page.document.querySelector("[autofocus]:not([popover] *)");
    begin?.removeAttribute("autofocus");
    const isNew = begin && !document.getElementById(begin.id);
    exchange(page.document);
    if (isNew) goOnAt(document.getElementById(begin.id));
    document.title = page.document.title;
    if (push && page.address !== location.href) history.pushState(null, "", page.address);
    announce(document.querySelector("[data-announce]")?.textContent.trim());
    return true;
  } catch {
    return false;
  } finally {
    if (mine === latest) document.documentElement.removeAttribute("data-loading");
  }
}

function isPlain(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey && !event.defaultPrevented;
}

async function submit(form, submitter) {
  const data = new FormData(form, submitter);
  if (form.method === "get") {
    const address = new URL(form.action);
    address.search = new URLSearchParams([...data].filter(([, value]) => value !== "")).toString();
    return show(address, {}, { push: true });
  }
  // A post is sent once: when its answer cannot be shown in place, the page it led to is opened instead of sending it again.
  refusal = "";
  const shown = await show(form.action, { method: "POST", body: new URLSearchParams(data) }, { push: form.dataset.swap !== "stay" });
  if (shown) return true;
  if (!refusal) { location.reload(); return true; }
  // A refused form stays as it was filled in, with the reason below it.
  let reason = form.querySelector(".field-error");
  if (!reason) {
    reason = document.createElement("p");
    reason.className = "field-error";
    reason.setAttribute("role", "alert");
    form.append(reason);
  }
  reason.textContent = refusal;
  return "refused";
}

export function startSwap() {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[data-swap]");
    if (!link || !isPlain(event) || link.origin !== location.origin) return;
    event.preventDefault();
    if (!(await show(link.href, {}, { push: true }))) location.assign(link.href);
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-swap]") || event.defaultPrevented || event.submitter?.hasAttribute("data-no-swap")) return;
    event.preventDefault();
    const dialog = form.closest("[popover]");
    const shown = await submit(form, event.submitter);
    if (!shown) { form.submit(); return; }
    if (shown === true && dialog?.isConnected && dialog.matches(":popover-open")) dialog.hidePopover();
  });

  let waiting;
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-swap-while-typing]");
    if (!form) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      // An answer that came meanwhile may have put another form in the place of this one.
      const present = form.isConnected ? form : document.getElementById(event.target.id)?.form;
      present?.requestSubmit();
    }, 250);
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  addEventListener("popstate", async () => {
    if (!(await show(location.href, {}, { push: false }))) location.reload();
  });
}
