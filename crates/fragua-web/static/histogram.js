// Fields of numbers with a slider, and the mark on how their values are spread: each follows the other.
function mark(field) {
  const histogram = field.closest(".field")?.querySelector(".histogram");
  if (!histogram) return;
  for (const bar of histogram.querySelectorAll("[data-value]")) bar.classList.toggle("is-here", bar.dataset.value === field.value);
  const here = histogram.querySelector(".histogram-here");
  if (!here) return;
  const low = Number(histogram.dataset.low);
  const high = Number(histogram.dataset.high);
  const value = field.value.trim() === "" ? NaN : Number(field.value);
  const place = (value - low) / (high - low);
  if (!Number.isFinite(place)) { here.setAttribute("visibility", "hidden"); return; }
  here.removeAttribute("visibility");
  const x = String(Math.min(Math.max(place, 0), 1) * 100);
  here.setAttribute("x1", x);
  here.setAttribute("x2", x);
}

export function startHistogram() {
  document.addEventListener("input", (event) => {
    const moved = event.target.dataset?.moves;
    if (moved) {
      const field = document.getElementById(moved);
      if (!field) return;
      field.value = event.target.value;
      mark(field);
      return;
    }
    const field = event.target.closest?.(".field .input, .field .select");
    if (!field) return;
    mark(field);
    const slider = document.querySelector(`[data-moves="${CSS.escape(field.id)}"]`);
    if (slider && Number.isFinite(Number(field.value)) && field.value.trim() !== "") slider.value = field.value;
  });
}
