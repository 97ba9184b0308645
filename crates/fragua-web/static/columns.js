// The dialog that chooses columns: it offers every key of the experiment, not only those of the runs on the page.
let words = null;
let address = null;

// The words and keys of an experiment, asked for once a page.
export function knownWords(from) {
  if (address !== from) {
    address = from;
    words = fetch(from, { headers: { Accept: "application/json" } })
      .then((response) => (response.ok ? response.json() : Promise.reject(new Error(response.statusText))))
      .catch(() => { address = null; return { terms: [], metrics: [], params: [], tags: [] }; });
  }
  return words;
}

function choice(kind, name) {
  const label = document.createElement("label");
  label.className = "check";
  label.title = `${kind}.${name}`;
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", name: "column", value: label.title });
  const word = document.createElement("span");
  word.textContent = name;
  label.append(box, word);
  return label;
}

async function fill(dialog) {
  const known = await knownWords(dialog.dataset.words);
  for (const group of dialog.querySelectorAll("fieldset[data-kind]")) {
    const kind = group.dataset.kind;
    const there = new Set([...group.querySelectorAll("input[name=column]")].map((box) => box.value));
    const names = (known[kind] ?? []).filter((name) => !there.has(`${kind}.${name}`) && !name.startsWith("mlflow."));
    group.querySelector(".column-choices").append(...names.map((name) => choice(kind, name)));
  }
  search(dialog);
}

function search(dialog) {
  const wanted = dialog.querySelector("input[type=search]").value.trim().toLowerCase();
  for (const group of dialog.querySelectorAll("fieldset[data-kind]")) {
    const labels = [...group.querySelectorAll(".column-choices label")];
    for (const label of labels) label.hidden = wanted !== "" && !label.title.toLowerCase().includes(wanted);
    group.hidden = labels.every((label) => label.hidden);
    mark(group);
  }
}

function shownBoxes(group) {
  return [...group.querySelectorAll(".column-choices label:not([hidden]) input")];
}

function mark(group) {
  const all = group.querySelector("[data-all]");
  const boxes = shownBoxes(group);
  const checked = boxes.filter((box) => box.checked).length;
  all.checked = checked > 0 && checked === boxes.length;
  all.indeterminate = checked > 0 && !all.checked;
}

export function startColumns() {
  document.addEventListener("toggle", (event) => {
    if (event.target.id !== "columns" || event.newState !== "open") return;
    fill(event.target);
    event.target.querySelector("input[type=search]").focus();
  }, true);
  document.addEventListener("input", (event) => {
    const dialog = event.target.closest?.("#columns");
    if (!dialog) return;
    const group = event.target.closest("fieldset");
    if (event.target.type === "search") search(dialog);
    else if ("all" in event.target.dataset) for (const box of shownBoxes(group)) box.checked = event.target.checked;
    else mark(group);
  });
  document.addEventListener("keydown", (event) => {
    // Enter in the search would send the form that the dialog is a part of.
    if (event.key === "Enter" && event.target.id === "columns-search") event.preventDefault();
  });
}
