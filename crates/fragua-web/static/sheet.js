// The table of rows: arrows and Enter move between the cells, a block that is pasted is put in by the server.
function cellAt(row, column) {
  return document.getElementById(`cell-${row}-${column}`);
}

function placeOf(cell) {
  const place = /^cell-(\d+)-(\d+)$/.exec(cell?.id ?? "");
  return place ? [Number(place[1]), Number(place[2])] : null;
}

export function startSheet() {
  document.addEventListener("keydown", (event) => {
    const place = event.target.closest?.("[data-sheet]") && placeOf(event.target);
    if (!place || event.altKey || event.ctrlKey || event.metaKey) return;
    const [row, column] = place;
    // A list of choices keeps its own keys but for Enter.
    const isList = event.target.matches("select");
    const step = event.key === "Enter" ? (event.shiftKey ? -1 : 1)
      : isList ? 0
      : event.key === "ArrowDown" ? 1
      : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    const next = cellAt(row + step, column);
    if (event.key === "Enter") event.preventDefault();
    if (!next) {
      // Enter in the last row goes on in a new one.
      if (event.key === "Enter" && step > 0) {
        document.addEventListener("fragua:exchanged", () => cellAt(row + 1, column)?.focus(), { once: true });
        document.getElementById("row-add")?.click();
      }
      return;
    }
    event.preventDefault();
    next.focus();
    if (next.matches("input:not([type=checkbox])")) next.select();
  });

  document.addEventListener("paste", (event) => {
    const place = event.target.closest?.("[data-sheet]") && placeOf(event.target);
    const text = event.clipboardData?.getData("text/plain") ?? "";
    // A single value is pasted as in any other field.
    if (!place || !/[\t\n]/.test(text.trimEnd())) return;
    event.preventDefault();
    const form = event.target.form;
    form.elements["at-row"].value = place[0];
    form.elements["at-column"].value = place[1];
    form.elements.pasted.value = text;
    document.getElementById("rows-paste").click();
  });
}
