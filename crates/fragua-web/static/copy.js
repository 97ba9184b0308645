// Buttons that put a text on the clipboard; they are shown only where this module runs.
export function startCopy() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      const place = document.getElementById("announce");
      if (place) place.textContent = button.dataset.copied ?? "";
      const use = button.querySelector("use");
      if (!use) return;
      const before = use.getAttribute("href");
      use.setAttribute("href", before.replace(/#.*/, "#check"));
      setTimeout(() => use.setAttribute("href", before), 1500);
    } catch { /* without the right to the clipboard nothing happens; the text can still be selected */ }
  });
}
