// Brings what is current into sight where it lies in a part that scrolls sideways, as long as nobody has scrolled it.
export function startInSight() {
  const look = () => {
    for (const element of document.querySelectorAll(".tabs > [aria-current], [data-in-sight]")) {
      const scroller = element.closest(".tabs, [data-keep-scroll]");
      if (!scroller || scroller.scrollLeft !== 0) continue;
      const [box, around] = [element.getBoundingClientRect(), scroller.getBoundingClientRect()];
      if (box.right > around.right) scroller.scrollLeft = box.right - around.right + around.width / 3;
    }
  };
  document.addEventListener("fragua:exchanged", look);
  look();
}
