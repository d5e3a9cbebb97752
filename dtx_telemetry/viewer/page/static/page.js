// The page: what the server tells goes into the rows, and from there into the list and the open life.

import {Address} from "./address.js";
import {Detail} from "./detail.js";
import {setText} from "./dom.js";
import {Feed} from "./feed.js";
import {countText, plural} from "./format.js";
import {List} from "./list.js";
import {Report} from "./reports.js";
import {KINDS, Rows} from "./rows.js";
import {Strip} from "./strip.js";

// Milliseconds of rest after which what was found is said to those who do not see it, and after which letters are a filter.
const SAY = 1500, TYPED = 120;
const NAME_IT = "name a filter behind the files, as in dtx-telemetry page app.log user.id=42";
const byId = id => document.getElementById(id);
const box = byId("filter"), news = byId("news"), pause = byId("pause"), dialog = byId("help-dialog"), scroller = byId("scroller");
const rows = new Rows();
const address = new Address(follow);
const list = new List(scroller, byId("canvas"), id => address.href({id}), showNews);
const detail = new Detail(byId("detail"), () => address.go({id: ""}));
const report = new Report(byId("report"), id => address.href({id}));
const strip = new Strip(byId("strip"), choosePart);
const feed = new Feed({onNews: take, onWrong: showWrong, onConnected: connect});
let shown = {view: "", filter: "", kind: "", id: ""}, told = null, rate = [], isConnected = null, isFresh = true, saying = 0, typing = 0;

// --- what the server tells

function take(message) {
  told = message;
  rows.take(told);
  showWrong("");
  refresh(isFresh);
  isFresh = false;
  if (detail.id !== null) detail.update(rows.get(detail.id), told.opened);
  report.update(told.lines);
  rate = [...rate.filter(([time]) => performance.now() - time < 3000), [performance.now(), told.lines]];
  state();
}

function refresh(force = false) {
  const found = rows.newest(shown.kind);
  list.show(found, force);
  strip.show(shown.kind ? null : told?.strip ?? null, found);
  byId("list").classList.toggle("with-services", rows.services.size > 1);
  showMatches(found.length);
}

function showMatches(count) {
  if (told === null) return;
  const isChosen = shown.filter !== "" || shown.kind !== "";
  const gone = told.evicted ? `, ${countText(told.evicted)} older let go` : "";
  const all = `${countText(told.lives)} kept${gone}${count && told.problem ? ` · ${told.problem}` : ""}`;
  setText(byId("matches"), isChosen ? `${countText(count)} of ${all}` : all);
  byId("matches").title = told.evicted ? `To see those: ${NAME_IT}.` : "";
}

function showNews(count, drawn) {
  news.hidden = !(count > 0);
  setText(news, `↑ ${countText(Math.max(count, 0))} new`);
  const empty = byId("empty");
  empty.hidden = drawn > 0;
  if (drawn === 0) setText(empty, emptyText());
}

function emptyText() {
  if (byId("wrong").textContent) return "";
  if (told === null) return "Asking …";
  if (told.problem) return told.problem;
  if (told.evicted) return `Nothing that is kept fits. ${plural(told.evicted, "older request")} ${told.evicted === 1 ? "was" : "were"} let go: ${NAME_IT}.`;
  if (told.lives) return "Nothing fits the filter.";
  if (told.loose) return `${plural(told.loose, "line")}, and none of a request: see Other lines.`;
  return "Nothing yet. Requests appear here as their lines come in.";
}

function showWrong(text) {
  const wrong = byId("wrong");
  if (wrong.textContent === text) return;
  setText(wrong, text);
  wrong.hidden = text === "";
  box.setAttribute("aria-invalid", String(text !== ""));
  if (text) list.show([], true);
}

function connect(isThere) {
  if (isConnected === isThere) return;
  if (isConnected !== null || !isThere) say(isThere ? "Connected again." : "Not connected.");
  isConnected = isThere;
  state();
}

function state() {
  const parts = [];
  if (told !== null) {
    parts.push(plural(told.lines, "line"));
    if (told.progress) parts.push(`${Math.floor(100 * told.progress)} % read`);
    if (told.left_out) parts.push(`${countText(told.left_out)} left out`);
    if (told.foreign) parts.push(`${countText(told.foreign)} passed over`);
    if (speed() >= 1) parts.push(`${countText(Math.round(speed()))}/s`);
    byId("state").title = told.about ? `From ${told.about}` : "";
    setText(byId("loose-count"), told.loose ? countText(told.loose) : "");
  }
  document.body.dataset.connected = String(isConnected === true);
  setText(byId("state"), isConnected !== false ? parts.join(" · ") : "Not connected. Trying again.");
}

function speed() {
  const recent = rate.filter(([time]) => performance.now() - time < 3000);
  if (recent.length < 2) return 0;
  const [[begin, before], [, after]] = [recent[0], recent.at(-1)];
  return 1000 * Math.max(after - before, 0) / Math.max(performance.now() - begin, 250);
}

// Say something to those who do not see the page, when there is some rest.
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => setText(byId("said"), text), text ? 0 : SAY);
}

function sayMatches() {
  clearTimeout(saying);
  saying = setTimeout(() => setText(byId("said"), byId("wrong").textContent || byId("matches").textContent), SAY);
}

function tick() {
  if (document.hidden) return;
  list.tick();
  detail.tick();
  state();
}

// --- what the reader does

// Show what the address says.
function follow(said) {
  const before = shown;
  shown = {...said, kind: Object.hasOwn(KINDS, said.kind) ? said.kind : ""};
  if (document.activeElement !== box && box.value !== shown.filter) box.value = shown.filter;
  feed.filter = shown.filter;
  feed.opened = shown.id;
  if (before.filter !== shown.filter || before.kind !== shown.kind) {
    isFresh = true;
    if (told !== null) refresh(true);
    sayMatches();
  }
  for (const each of byId("kinds").children) each.setAttribute("aria-pressed", String(each.dataset.kind === shown.kind));
  for (const each of byId("views").children) {
    each.href = address.href({view: each.dataset.view, id: ""});
    each.setAttribute("aria-current", each.dataset.view === shown.view ? "page" : "false");
  }
  byId("list").hidden = shown.view !== "";
  byId("kinds").hidden = shown.view !== "";
  report.open(shown.view, shown.filter);
  if (told !== null) report.update(told.lines);
  followId(shown.id);
}

function followId(id) {
  const isOpen = id !== "";
  document.body.classList.toggle("open", isOpen);
  if (isOpen) {
    list.selected = id;
    const isNew = detail.id !== id;
    detail.open(id, rows.get(id));
    if (isNew && getComputedStyle(scroller).visibility === "hidden") detail.focus();
  } else if (detail.id !== null) {
    detail.close();
    if (document.activeElement === document.body) list.focus();
  }
  list.draw();
}

function type() {
  clearTimeout(typing);
  typing = setTimeout(() => address.type(box.value.trim()), TYPED);
}

// Open the only row, else ask the server whose id begins so.
async function find(text) {
  clearTimeout(typing);
  if (text && !/[\s=<>~]/.test(text)) {
    const answer = await fetch(`/life?${new URLSearchParams({id: text})}`).catch(() => null);
    if (answer?.ok) return address.go({filter: "", id: (await answer.json()).id});
  }
  address.go({filter: text});
  const found = rows.newest(shown.kind);
  if (found.length === 1) return address.go({id: found[0].id});
  list.move(0);
}

function choosePart(from, to) {
  const time = milliseconds => new Date(milliseconds).toISOString();
  const rest = shown.filter.split(/\s+/).filter(word => word && !/^timestamp[<>]/.test(word));
  const filter = [...rest, `timestamp>=${time(from)}`, `timestamp<${time(to)}`].join(" ");
  box.value = filter;
  address.go({filter});
}

function setPaused(paused) {
  pause.setAttribute("aria-pressed", String(paused));
  setText(pause, paused ? "Resume" : "Pause");
  list.paused = paused;
}

function move(step) {
  const id = list.move(step);
  if (id !== null && detail.id !== null) address.go({id}, {replace: true});
}

// A link within the page changes what is shown, and loads nothing.
function click(event) {
  const link = event.target.closest?.("a[href]");
  if (link === null || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const to = new URL(link.href);
  const id = decodeURIComponent(to.hash.slice(1)), view = to.searchParams.get("view") ?? "";
  if (link.closest(".row")) link.focus({preventScroll: true});
  address.go({id, view});
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
  Enter: () => { if (list.selected !== null) address.go({id: list.selected}); },
  Escape: () => { if (detail.id !== null) address.go({id: ""}); },
  p: () => setPaused(pause.getAttribute("aria-pressed") === "false"),
  "?": () => dialog.showModal(),
};
const MOVES = new Set(["ArrowDown", "ArrowUp", "j", "k", "PageDown", "PageUp", "Home", "End"]);
const IN_BOX = {
  Escape: () => { if (box.value) { box.value = ""; address.go({filter: ""}); } else { list.focus(); } },
  Enter: () => find(box.value.trim()),
  ArrowDown: () => move(0),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || dialog.open) return;
  const isText = event.target instanceof HTMLInputElement && event.target !== box;
  const presses = event.target === box ? IN_BOX : KEYS;
  // A button or a link knows what Enter means.
  const isOwn = event.key === "Enter" && event.target.closest?.("button, a");
  // Inside an open life, and where there is no list, the arrows scroll.
  const scrolls = MOVES.has(event.key) && (event.target.closest?.("#detail") || (shown.view !== "" && event.target !== box));
  if ((isText && event.key !== "Escape") || !Object.hasOwn(presses, event.key) || isOwn || scrolls) return;
  event.preventDefault();
  presses[event.key]();
}

box.addEventListener("input", type);
byId("kinds").addEventListener("click", event => {
  const chosen = event.target.closest("button");
  if (chosen !== null) address.go({kind: chosen.dataset.kind});
});
pause.addEventListener("click", () => setPaused(pause.getAttribute("aria-pressed") === "false"));
news.addEventListener("click", () => { setPaused(false); list.toTop(); });
byId("help").addEventListener("click", () => dialog.showModal());
byId("help-close").addEventListener("click", () => dialog.close());
document.addEventListener("click", click);
document.addEventListener("keydown", press);
setInterval(tick, 250);
address.start();
feed.start();
