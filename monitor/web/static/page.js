// Ages that count up, local times, and live updates of the on-call page. All pages work without this script.
"use strict";

// The clock of the monitor; that of this computer may be wrong.
let clockOffset = 0;

// As `duration` in formats.py.
function ageText(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function updateAges() {
  for (const time of document.querySelectorAll("time.age")) {
    const text = ageText((Date.now() + clockOffset - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

function addLocalTimes(root) {
  for (const time of root.querySelectorAll("time[title]")) {
    const local = new Date(time.dateTime).toLocaleString(undefined, { timeZoneName: "short" });
    time.title = `${time.title.split("\n")[0]}\n${local}`;
  }
}

addLocalTimes(document);
setInterval(updateAges, 1000);
