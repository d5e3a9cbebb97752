// The page: what the server tells goes into the rows, and from there into the list and the open life.

import {setText} from "./dom.js";
import {Detail} from "./detail.js";
import {makeFilter} from "./filter.js";
import {countText} from "./format.js";
import {List} from "./list.js";
import {Rows} from "./rows.js";

const byId = id => document.getElementById(id);
const rows = new Rows();
const box = byId("filter"), news = byId("news"), pause = byId("pause"), dialog = byId("help-dialog"), scroller = byId("scroller");
const detail = new Detail(byId("detail"), close);
const list = new List(scroller, byId("canvas"), open, showNews);
let kind = "", fits = makeFilter("", ""), told = null, rate = [], isConnected = false;

function refresh(force = false) {
  list.show(rows.newest(fits), force);
}

function showNews(count, shown) {
  news.hidden = !(count > 0);
  setText(news, `↑ ${countText(Math.max(count, 0))} new`);
  const empty = byId("empty");
  empty.hidden = shown > 0;
  if (shown === 0) setText(empty, rows.size ? "Nothing fits the filter." : "Nothing yet. Requests appear here as their lines come in.");
}

function tick() {
  if (document.hidden) return;
  if (box.value) refresh();  // what runs may fit the filter by now
  else list.tick();
  detail.tick();
  state();
}

// --- what the server tells

function listen() {
  const source = new EventSource("/updates");
  source.addEventListener("open", () => { isConnected = true; state(); });
  source.addEventListener("error", () => { isConnected = false; state(); });
  source.addEventListener("message", event => {
    told = JSON.parse(event.data);
    const isFirst = rows.size === 0;
    rows.take(told);
    refresh(isFirst);
    if (detail.id !== null) detail.update(rows.get(detail.id));
    rate = [...rate.filter(([time]) => performance.now() - time < 3000), [performance.now(), told.lines]];
    state();
  });
}

function state() {
  const parts = [];
  if (told !== null) {
    parts.push(`${countText(rows.size)} kept`, `${countText(told.lines)} lines`);
    if (told.foreign) parts.push(`${countText(told.foreign)} passed over`);
    if (speed() >= 1) parts.push(`${countText(Math.round(speed()))}/s`);
    byId("state").title = told.about ? `From ${told.about}` : "";
  }
  document.body.dataset.connected = String(isConnected);
  setText(byId("state"), isConnected || told === null ? parts.join(" · ") : "Not connected. Trying again.");
}

function speed() {
  const recent = rate.filter(([time]) => performance.now() - time < 3000);
  if (recent.length < 2) return 0;
  const [[begin, before], [, after]] = [recent[0], recent.at(-1)];
  return 1000 * Math.max(after - before, 0) / Math.max(performance.now() - begin, 250);
}

// --- what the reader does

function open(id) {
  location.hash = encodeURIComponent(id);
}

function close() {
  history.pushState(null, "", location.pathname);
  follow();
  scroller.focus({preventScroll: true});
}

// Show what the address says.
function follow() {
  const id = decoded(location.hash.slice(1)), isOpen = id !== "";
  document.body.classList.toggle("open", isOpen);
  list.selected = isOpen ? id : list.selected;
  if (isOpen) {
    detail.open(id, rows.get(id));
    if (getComputedStyle(byId("list")).display === "none") detail.focus();
  } else {
    detail.close();
  }
  list.draw();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function filter() {
  fits = makeFilter(box.value, kind);
  refresh(true);
}

// Open the only row, else ask the server whose id begins so, or whose trace's does.
async function find(text) {
  const found = rows.newest(fits);
  if (found.length === 1) return open(found[0].id);
  if (!text || text.includes(" ")) return list.move(0);
  const answer = await fetch(`/life?id=${encodeURIComponent(text)}`);
  if (answer.ok) open((await answer.json()).id);
}

function setPaused(paused) {
  pause.setAttribute("aria-pressed", String(paused));
  setText(pause, paused ? "Resume" : "Pause");
  list.paused = paused;
}

function move(step) {
  const id = list.move(step);
  if (id !== null && detail.id !== null) history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  if (id !== null && detail.id !== null) follow();
}

const KEYS = {
  "/": () => { box.focus(); box.select(); },
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  j: () => move(1),
  k: () => move(-1),
  PageDown: () => move(10),
  PageUp: () => move(-10),
  Home: () => move(-Infinity),
  End: () => move(Infinity),
  Enter: () => { if (list.selected !== null) open(list.selected); },
  Escape: () => { if (detail.id !== null) close(); },
  p: () => setPaused(pause.getAttribute("aria-pressed") === "false"),
  "?": () => dialog.showModal(),
};
const IN_BOX = {
  Escape: () => { if (box.value) { box.value = ""; filter(); } else { scroller.focus(); } },
  Enter: () => find(box.value.trim()),
  ArrowDown: () => { scroller.focus(); move(0); },
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  const presses = event.target === box ? IN_BOX : KEYS;
  const isForButton = event.target instanceof HTMLButtonElement && event.key === "Enter";
  // Inside an open life the arrows scroll.
  const isForDetail = event.target.closest?.("#detail") && /^(Arrow|Page|Home|End)/.test(event.key);
  if (!Object.hasOwn(presses, event.key) || isForButton || isForDetail) return;
  event.preventDefault();
  presses[event.key]();
}

function choose(event) {
  const chosen = event.target.closest("button");
  if (chosen === null) return;
  kind = chosen.dataset.kind;
  for (const each of byId("kinds").children) each.setAttribute("aria-pressed", String(each === chosen));
  filter();
}

box.addEventListener("input", filter);
byId("kinds").addEventListener("click", choose);
pause.addEventListener("click", () => setPaused(pause.getAttribute("aria-pressed") === "false"));
news.addEventListener("click", () => { setPaused(false); list.toTop(); });
byId("help").addEventListener("click", () => dialog.showModal());
byId("help-close").addEventListener("click", () => dialog.close());
document.addEventListener("keydown", press);
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
setInterval(tick, 250);
follow();
listen();
