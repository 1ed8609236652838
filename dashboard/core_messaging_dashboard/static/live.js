// Replaces the live part of a page whenever the server sends a new one.
const live = document.querySelector("[data-live]");
if (live) {
  const state = document.querySelector("#connection");
  const source = new EventSource(live.dataset.live);
  source.addEventListener("message", (event) => {
    state.textContent = "live";
    // Not while somebody is inside with the keyboard: the focus would be lost.
    if (!live.contains(document.activeElement)) live.innerHTML = JSON.parse(event.data);
  });
  source.addEventListener("error", () => {
    state.textContent = "not connected; this is what was seen last";
  });
}
