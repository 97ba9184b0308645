// Zooms a graph with buttons, the wheel with the control key held, and + - 0; drags it with the pointer.
const zooms = new Map(); // by the id of the graph: survives an exchange
const LEAST = 0.25;
const MOST = 4;

function apply(graph, zoom, around) {
  const svg = graph.querySelector("svg");
  const box = svg.viewBox.baseVal;
  if (zoom === null) {
    zooms.delete(graph.id);
    svg.classList.remove("is-zoomed");
    svg.setAttribute("width", box.width);
    svg.setAttribute("height", box.height);
    return;
  }
  const before = svg.getBoundingClientRect().width / box.width;
  zooms.set(graph.id, zoom);
  svg.classList.add("is-zoomed");
  svg.setAttribute("width", box.width * zoom);
  svg.setAttribute("height", box.height * zoom);
  if (!around || !before) return;
  // What lies under the pointer stays there.
  const ratio = zoom / before;
  graph.scrollLeft = (graph.scrollLeft + around.x) * ratio - around.x;
  graph.scrollTop = (graph.scrollTop + around.y) * ratio - around.y;
}

function change(graph, factor, around) {
  const svg = graph.querySelector("svg");
  const present = zooms.get(graph.id) ?? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const middle = { x: graph.clientWidth / 2, y: graph.clientHeight / 2 };
  apply(graph, Math.min(MOST, Math.max(LEAST, present * factor)), around ?? middle);
}

const STEP = 1.25;

export function startGraph() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-zoom]");
    const graph = button && document.getElementById(button.dataset.graph);
    if (!graph) return;
    if (button.dataset.zoom === "fit") apply(graph, null);
    else change(graph, button.dataset.zoom === "in" ? STEP : 1 / STEP);
  });
  document.addEventListener("wheel", (event) => {
    const graph = event.target.closest?.("[data-pan]");
    if (!graph || !event.ctrlKey) return;
    event.preventDefault();
    const box = graph.getBoundingClientRect();
    change(graph, event.deltaY < 0 ? STEP : 1 / STEP, { x: event.clientX - box.left, y: event.clientY - box.top });
  }, { passive: false });
  document.addEventListener("keydown", (event) => {
    const graph = event.target.closest?.("[data-pan]");
    if (!graph || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") change(graph, STEP);
    else if (event.key === "-") change(graph, 1 / STEP);
    else if (event.key === "0") apply(graph, null);
    else return;
    event.preventDefault();
  });
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const graph = event.target.closest?.("[data-pan]");
    if (!graph || event.button !== 0 || event.pointerType !== "mouse" || event.target.closest("a")) return;
    drag = { graph, x: event.clientX + graph.scrollLeft, y: event.clientY + graph.scrollTop };
    graph.classList.add("is-dragged");
  });
  document.addEventListener("pointermove", (event) => {
    drag?.graph.scrollTo(drag.x - event.clientX, drag.y - event.clientY);
  });
  const end = () => { drag?.graph.classList.remove("is-dragged"); drag = null; };
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);
  document.addEventListener("fragua:exchanged", () => {
    for (const graph of document.querySelectorAll("[data-pan]")) {
      const zoom = zooms.get(graph.id);
      if (zoom) apply(graph, zoom);
    }
  });
}
