// The box in the head of a table ticks all boxes below it, and shows whether all, some or none are.
function boxes(table) {
  return [...table.querySelectorAll("tbody .pick input")];
}

function show(table) {
  const all = table.querySelector("thead .pick input");
  const checked = boxes(table).filter((box) => box.checked).length;
  all.checked = checked > 0 && checked === boxes(table).length;
  all.indeterminate = checked > 0 && !all.checked;
}

export function startPickAll() {
  document.addEventListener("change", (event) => {
    const table = event.target.closest?.("table[data-pick-all]");
    if (!table) return;
    if (event.target.closest("thead")) for (const box of boxes(table)) box.checked = event.target.checked;
    show(table);
  });
  // A browser that goes back keeps what was ticked.
  for (const table of document.querySelectorAll("table[data-pick-all]")) show(table);
}
