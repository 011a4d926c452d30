// Ages that count up, local times, and live updates of the on-call page. All pages work without this script.
"use strict";

// The clock of the monitor; that of this computer may be wrong.
let clockOffset = 0;

// As `duration` in monitor/durations.py.
function ageText(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  const hours = Math.floor((s % 86400) / 3600);
  return `${Math.floor(s / 86400)} d${hours ? ` ${hours} h` : ""}`;
}

function updateAges() {
  if (document.body.classList.contains("stale")) return; // an age that goes on would say that the state does
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

// Live updates: server-sent events with the HTML of changed elements, by id.

const STALE_AFTER = 10_000;
let heardAt = Date.now();
let waiting = {}; // elements that are not replaced while text in them is selected

function isSelected(element) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

function focusKey(element) {
  return element.id ? `#${CSS.escape(element.id)}` : element.localName === "a"
    ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : element.localName;
}

function replaceElement(id, html) {
  const old = document.getElementById(id);
  const template = document.createElement("template");
  template.innerHTML = html;
  const replacement = template.content.firstElementChild;
  if (old === null || replacement === null) return;
  const openness = new Map();
  for (const details of old.querySelectorAll("details[data-key]")) {
    openness.set(`${details.closest("[id]").id} ${details.dataset.key}`, details.open);
  }
  for (const details of replacement.querySelectorAll("details[data-key]")) {
    const open = openness.get(`${details.closest("[id]").id} ${details.dataset.key}`);
    if (open !== undefined) details.open = open;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const within = focused?.closest("[id]");
  const selector = focused && focusKey(focused);
  addLocalTimes(replacement);
  old.replaceWith(replacement);
  if (focused) {
    const owner = document.getElementById(within?.id) ?? replacement;
    (owner.matches(selector) ? owner : owner.querySelector(selector))?.focus({ preventScroll: true });
  }
}

function heard(now) {
  heardAt = Date.now();
  clockOffset = Date.parse(now) - heardAt;
  const asOf = document.getElementById("as-of");
  asOf.dateTime = now;
  asOf.textContent = now.slice(11, 19);
  showLiveness();
}

function showLiveness() {
  const silence = Date.now() - heardAt;
  const stale = silence > STALE_AFTER;
  document.body.classList.toggle("stale", stale);
  document.getElementById("live").textContent = stale ? "" : " · live";
  const notice = document.getElementById("stale");
  notice.hidden = !stale;
  if (stale) notice.firstElementChild.textContent = ageText(silence / 1000);
}

function apply(message) {
  if (message.files !== document.body.dataset.files) return location.reload(); // another release of the monitor
  heard(message.now);
  if (document.title !== message.title) document.title = message.title;
  const icon = document.getElementById("icon");
  if (icon.getAttribute("href") !== message.icon) icon.setAttribute("href", message.icon);
  const changed = { ...waiting, ...message.fragments };
  waiting = {};
  for (const [id, html] of Object.entries(changed)) {
    const element = document.getElementById(id);
    if (element && isSelected(element)) waiting[id] = html;
    else replaceElement(id, html);
  }
  showLiveness();
}

function connect(address) {
  const source = new EventSource(address);
  source.onmessage = (event) => apply(JSON.parse(event.data));
  source.addEventListener("tick", (event) => heard(JSON.parse(event.data)));
  source.onerror = () => {
    // The browser reconnects by itself, except after a refusal.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5_000, address);
  };
}

if (document.body.dataset.now) clockOffset = Date.parse(document.body.dataset.now) - Date.now();
if (document.body.dataset.events) {
  connect(document.body.dataset.events);
  setInterval(showLiveness, 1000);
}
