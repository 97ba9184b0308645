// A form with a file: how far it is shows while it is sent, the answer is exchanged in place.
import { announce, exchange } from "./regions.js";

export function startUpload() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-upload]")) return;
    event.preventDefault();
    const progress = form.querySelector("progress");
    const button = form.querySelector(".button-primary");
    const done = () => { progress.hidden = true; button.disabled = false; };
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.upload.addEventListener("progress", ({ loaded, total, lengthComputable }) => {
      // What is left of the bar is the reading and scoring, of which nobody knows how long it takes.
      if (lengthComputable && loaded < total) progress.value = loaded / total * 100;
      else progress.removeAttribute("value");
    });
    request.addEventListener("load", () => {
      done();
      exchange(new DOMParser().parseFromString(request.responseText, "text/html"));
      announce(document.querySelector("#batch-result [data-announce]")?.textContent.trim());
    });
    // The browser says what stands in the way of a form that is sent as ever.
    request.addEventListener("error", () => { done(); form.submit(); });
    progress.value = 0;
    progress.hidden = false;
    button.disabled = true;
    request.send(new FormData(form));
  });
}
