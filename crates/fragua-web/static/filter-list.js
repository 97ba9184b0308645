// A search field that narrows a list on the page down: data-filtered-by on the list names the field, data-words on its
// entries says what they are found by.
export function startFilterList() {
  document.addEventListener("input", (event) => {
    const list = event.target.id && document.querySelector(`[data-filtered-by="${CSS.escape(event.target.id)}"]`);
    if (!list) return;
    const wanted = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const entry of list.querySelectorAll("[data-words]")) {
      const words = entry.dataset.words.toLowerCase();
      entry.hidden = !wanted.every((word) => words.includes(word));
    }
  });
}
