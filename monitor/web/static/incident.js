// "Copy as Markdown". Without this script the text can be copied by hand.
"use strict";

const button = document.getElementById("copy");
const text = document.getElementById("markdown");
const copied = document.getElementById("copied");

button.hidden = false;
button.addEventListener("click", async () => {
  let done = false;
  try {
    await navigator.clipboard.writeText(text.value);
    done = true;
  } catch {
    // Without https there is no clipboard API.
    text.closest("details").open = true;
    text.select();
    done = document.execCommand("copy");
  }
  copied.textContent = done ? "Copied." : "Select the text below and copy it.";
});

// Show what happens meanwhile.
const UPDATE_MS = 5000;

async function update() {
  const shown = document.getElementById("live");
  if (!("live" in shown.dataset)) return;
  setTimeout(update, UPDATE_MS);
  if (document.hidden || shown.contains(document.activeElement)) return;
  try {
    const response = await fetch(location.href);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const latest = page.getElementById("live");
    if (!response.ok || !latest) return;
    shown.replaceWith(latest);
    document.title = page.title;
    document.getElementById("icon").href = page.getElementById("icon").href;
    if (!text.closest("details").open) text.value = page.getElementById("markdown").value;
  } catch {
    // The monitor restarts, or the network is gone: the next one may succeed.
  }
}

setTimeout(update, UPDATE_MS);
