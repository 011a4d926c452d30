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
