// One life: its waterfall, and under that its lines.

import {button, element, fill, setName, setText} from "./dom.js";
import {dayText, lengthText, tickText, ticks, timeText} from "./format.js";
import {isLive, stateOf} from "./rows.js";

// Milliseconds between two times that a life is asked for anew.
const PATIENCE = 400;

export class Detail {
  #root; #id = null; #row = null; #life = null; #chosen = null; #asked = -Infinity; #timer = 0; #parts;

  constructor(root, onClose) {
    this.#root = root;
    const head = element("div", "head"), title = element("h2"), status = element("span", "status");
    const close = button("close", "Close", onClose);
    close.title = "Close (Esc)";
    const name = element("span", "name");
    title.append(name, " ", status);
    head.append(title, close);
    const about = element("p", "about"), ids = element("p", "ids");
    const axis = element("div", "axis"), bars = element("div", "bars");
    const chart = element("div", "chart"), lines = element("ol", "lines"), note = element("p", "note");
    chart.append(axis, bars);
    root.append(head, about, ids, chart, note, lines);
    bars.addEventListener("click", event => this.#choose(event));
    this.#parts = {name, status, about, ids, axis, bars, note, lines, close};
  }

  get id() {
    return this.#id;
  }

  open(id, row) {
    if (id !== this.#id) {
      this.#life = this.#chosen = null;
      this.#asked = -Infinity;
      this.#root.scrollTop = 0;
      for (const part of ["about", "ids", "note"]) this.#parts[part].replaceChildren();
      for (const part of ["axis", "bars", "lines"]) fill(this.#parts[part], [], String, String);
    }
    this.#id = id;
    this.#root.hidden = false;
    this.update(row);
  }

  close() {
    this.#id = this.#row = this.#life = null;
    this.#root.hidden = true;
  }

  focus() {
    this.#parts.close.focus();
  }

  // The list knows of `row` now; ask for the life if that has news.
  update(row) {
    if (this.#id === null) return;
    this.#row = row ?? this.#row;
    this.#title();
    if (this.#life === null || (row && row.version > this.#life.version)) this.#ask();
  }

  // Let what runs grow.
  tick() {
    if (this.#life !== null) this.#place();
  }

  #ask() {
    const wait = this.#asked + PATIENCE - performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetch(this.#id), Math.max(wait, 0));
  }

  async #fetch(id) {
    if (id === null) return;
    this.#asked = performance.now();
    const answer = await fetch(`/life?id=${encodeURIComponent(id)}`).catch(() => null);
    const life = answer?.ok ? await answer.json() : null;
    if (id !== this.#id) return;
    if (life === null) this.#say(answer?.status === 404 ? "This one is no longer kept." : "The server does not answer.");
    else this.#show(life);
  }

  #title() {
    const row = this.#row;
    if (row === null) return;
    const kind = row.kind === "request" && row.name ? "" : row.kind;
    setText(this.#parts.name, [kind, row.name.replaceAll(",", ", ")].filter(Boolean).join(" ") || "…");
    setText(this.#parts.status, row.status || (isLive(row) ? "running" : ""));
    this.#root.dataset.state = stateOf(row);
  }

  #show(life) {
    this.#life = life;
    const said = [dayText(life.begin), timeText(life.begin), ...life.about];
    fill(this.#parts.about, said, String, text => element("span", "", text));
    const ids = [["request", life.id], ...life.traces.map(trace => ["trace", trace])];
    fill(this.#parts.ids, ids, String, ([what, id]) => idElement(what, id));
    fill(this.#parts.bars, life.rows, rowKey, makeBar);
    this.#say([
      life.more ? `${life.more} more rows are not shown.` : "",
      life.dropped ? `${life.dropped} earlier lines are not shown.` : "",
    ].filter(Boolean).join(" "));
    this.#lines();
    this.#place();
  }

  #say(text) {
    setText(this.#parts.note, text);
  }

  #lines() {
    const {rows, lines} = this.#life, chosen = this.#chosen;
    const shown = chosen === null ? lines : lines.filter(line => line.row === chosen);
    fill(this.#parts.lines, shown, line => JSON.stringify([line, rows[line.row].kind]), line => makeLine(line, rows[line.row].kind));
    [...this.#parts.bars.children].forEach((bar, place) => bar.setAttribute("aria-pressed", String(place === chosen)));
  }

  #choose(event) {
    const bar = event.target.closest(".bar");
    if (bar === null || this.#life === null) return;
    const place = [...this.#parts.bars.children].indexOf(bar);
    this.#chosen = place === this.#chosen ? null : place;
    this.#lines();
  }

  #place() {
    const {rows, begin, length} = this.#life, now = Date.now();
    const ends = rows.map(row => isOpen(row, now) ? Math.max(now - begin, row.end) : row.end);
    const whole = Math.max(length, ...ends) || 1, percent = part => `${(100 * part / whole).toFixed(3)}%`;
    rows.forEach((row, place) => {
      const bar = this.#parts.bars.children[place], [wait, run] = bar.querySelector(".lane").children;
      wait.style.left = percent(row.queued);
      wait.style.width = percent(row.start - row.queued);
      run.style.left = percent(row.start);
      run.style.width = percent(ends[place] - row.start);
      setText(bar.querySelector(".took"), row.state === "running" || row.known ? lengthText(ends[place] - row.start) : "");
    });
    const steps = this.#parts.bars.clientWidth < 560 ? 3 : 5;
    fill(this.#parts.axis, ticks(whole, steps), tick => `${tick}/${whole}`, tick => {
      const made = element("span", "", tickText(tick));
      made.style.left = percent(tick);
      made.classList.toggle("late", tick / whole > 0.9);
      return made;
    });
  }
}

function isOpen(row, now) {
  return row.state === "running" && isLive({running: true, last: row.last, kind: row.kind}, now);
}

function rowKey(row) {
  return JSON.stringify([row.kind, row.label, row.status, row.state, row.depth, row.notes, row.error]);
}

function makeBar(row) {
  const made = button(`bar ${row.state}`, "", () => {});
  made.dataset.kind = row.kind;
  made.setAttribute("aria-pressed", "false");
  const label = element("span", "label"), lane = element("span", "lane");
  made.style.setProperty("--depth", Math.min(row.depth, 8));
  const name = element("span", "text");
  setName(name, row.label);
  label.append(name, element("span", "status", row.state === "running" ? "" : row.status));
  label.title = row.label;
  lane.append(element("span", "wait"), element("span", "run"));
  made.append(label, lane, element("span", "took"));
  if (row.error !== null) made.append(element("span", "error", row.error));
  if (row.notes.length) made.append(element("span", "notes", row.notes.join(" · ")));
  return made;
}

function makeLine(line, kind) {
  const made = element("li", ["warning", "error", "critical"].includes(line.level) ? line.level : "");
  made.dataset.kind = kind;
  const body = element("div", "body"), said = element("div");
  said.append(element("b", "", line.event));
  for (const [key, value] of line.fields) {
    const field = element("span", "field");
    field.append(element("span", "key", `${key}=`), value);
    said.append(" ", field);
  }
  body.append(said, ...line.blocks.map(block => element("pre", "", block)));
  made.append(element("span", "at", `+${lengthText(line.at)}`), element("span", "level", line.level), body);
  made.title = line.logger;
  return made;
}

function idElement(what, id) {
  const made = element("span", "an-id"), code = element("code", "", id);
  const copy = button("copy", "Copy", async () => {
    await navigator.clipboard.writeText(id);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  });
  made.append(element("span", "key", what), " ", code, " ", copy);
  return made;
}
