// One life: its waterfall, and all its lines.

import {Bar} from "./bars.js";
import {button, element, fill, setName, setText} from "./dom.js";
import {countText, dayText, lengthText, tickText, ticks, timeText} from "./format.js";
import {afterText, makeLine} from "./lines.js";
import {isLive, stateOf} from "./rows.js";
import {Zoom} from "./zoom.js";

// Milliseconds between two times that a life is asked for anew, and of rest before a search begins.
const PATIENCE = 400, REST = 200;
const HUES = 8;
const FAILURES = {404: "This one is no longer kept.", 409: "Several begin so: the id has to be longer."};

export class Detail {
  #root; #parts; #zoom; #id = null; #row = null; #life = null; #asked = -Infinity; #patience = PATIENCE; #isAsking = false; #timer = 0;
  #bars = new Map(); #open = new Set(); #folded = new Set(); #queries = ""; #byService = false;

  constructor(root, onClose) {
    this.#root = root;
    const head = element("div", "head"), title = element("h2"), name = element("span", "name"), status = element("span", "status");
    const close = button("close", "Close", onClose);
    close.title = "Close (Esc)";
    title.append(name, " ", status);
    head.append(title, close);
    const about = element("p", "about"), ids = element("p", "ids"), tools = element("div", "tools");
    const search = element("input"), found = element("span", "found");
    Object.assign(search, {type: "search", placeholder: "Search in this trace", autocomplete: "off", spellcheck: false});
    search.setAttribute("aria-label", "Search in this trace");
    found.setAttribute("role", "status");
    const fold = button("fold-all", "Fold all", () => this.#foldAll());
    const colour = button("colour", "Colour by service", () => this.#colour());
    colour.setAttribute("aria-pressed", "false");
    const whole = button("whole", "Whole time", () => this.#zoom.reset());
    tools.append(search, found, fold, colour, whole);
    const chart = element("div", "chart"), axis = element("div", "axis"), bars = element("ol", "bars");
    bars.setAttribute("aria-label", "What ran");
    const drawn = element("div", "drawn");
    chart.append(axis, bars, drawn);
    const note = element("p", "note"), heading = element("h3", "", "All lines"), lines = element("ol", "lines all");
    root.append(head, about, ids, tools, chart, note, heading, lines);
    this.#parts = {name, status, about, ids, search, found, fold, colour, whole, chart, axis, bars, note, heading, lines, close};
    this.#zoom = new Zoom(chart, axis, drawn, () => this.#place());
    search.addEventListener("input", () => this.#ask(REST));
    search.addEventListener("keydown", event => this.#inSearch(event));
    bars.addEventListener("keydown", event => this.#inBars(event));
  }

  get id() {
    return this.#id;
  }

  open(id, row) {
    if (id !== this.#id) {
      this.#life = null;
      this.#asked = -Infinity;
      this.#root.scrollTop = 0;
      this.#open.clear();
      this.#folded.clear();
      this.#queries = this.#parts.search.value = "";
      this.#zoom.reset();
      this.#bars.clear();
      for (const part of ["about", "ids", "note", "bars", "found"]) this.#parts[part].replaceChildren();
      for (const part of ["axis", "lines"]) fill(this.#parts[part], [], String, String);
      this.#parts.heading.hidden = true;
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

  // The list knows of `row` now, and the server of `version`; ask for the life if there are news.
  update(row, version = row?.version ?? 0) {
    if (this.#id === null) return;
    this.#row = row ?? this.#row;
    if (this.#row?.id !== this.#id) this.#row = null;
    this.#title();
    if (this.#life === null ? !this.#isAsking : version > this.#life.version) this.#ask();
  }

  // Let what runs grow.
  tick() {
    if (this.#life !== null) this.#place();
  }

  #ask(rest = 0) {
    this.#isAsking = true;
    const wait = Math.max(this.#asked + this.#patience - performance.now(), rest, 0);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetch(this.#id), wait);
  }

  async #fetch(id) {
    if (id === null) return;
    this.#asked = performance.now();
    const query = new URLSearchParams({id, find: this.#parts.search.value.trim(), queries: this.#queries});
    for (const key of this.#open) query.append("open", key);
    const answer = await fetch(`/life?${query}`).catch(() => null);
    this.#patience = Math.max(PATIENCE, 4 * (performance.now() - this.#asked));  // a large one takes the server longer
    if (answer?.status === 400) {
      this.#isAsking = false;
      return setText(this.#parts.found, await answer.text());
    }
    const life = answer?.ok ? await answer.json() : null;
    if (id !== this.#id) return;
    this.#isAsking = false;
    if (life === null) this.#say(FAILURES[answer?.status] ?? "The server does not answer.");
    else this.#show(life);
  }

  #title() {
    const row = this.#row, first = this.#life?.rows[0];
    const kind = row === null || (row.kind === "request" && row.name) ? "" : row.kind;
    const name = row === null ? first?.label ?? "" : row.name.replaceAll(",", ", ");
    setText(this.#parts.name, [kind, name].filter(Boolean).join(" ") || "…");
    setText(this.#parts.status, row === null ? first?.status ?? "" : row.status || (isLive(row) ? "running" : ""));
    this.#root.dataset.state = row === null ? first?.state ?? "" : stateOf(row);
  }

  #show(life) {
    this.#life = life;
    this.#title();
    const said = [dayText(life.begin), timeText(life.begin), lengthText(life.length), ...life.about];
    fill(this.#parts.about, said, String, text => element("span", "", text));
    const ids = [["request", life.id], ...life.traces.map(trace => ["trace", trace])];
    fill(this.#parts.ids, ids, String, ([what, id]) => idElement(what, id));
    this.#say([
      life.more ? `${countText(life.more)} more rows are not shown.` : "",
      life.dropped ? `${countText(life.dropped)} earlier lines are not shown.` : "",
    ].filter(Boolean).join(" "));
    this.#drawBars();
    this.#tools();
    this.#lines();
    this.#place();
  }

  #say(text) {
    setText(this.#parts.note, text);
  }

  #tools() {
    const {rows, searched} = this.#life, {found, fold, colour} = this.#parts;
    const hits = rows.filter(row => row.hit).length;
    setText(found, searched ? `${countText(hits)} of ${countText(rows.length)}` : "");
    fold.hidden = !rows.some(row => row.parent >= 0);
    setText(fold, this.#folded.size ? "Unfold all" : "Fold all");
    colour.hidden = this.#services().length < 2;
    this.#parts.chart.classList.toggle("with-services", !colour.hidden);
  }

  #services() {
    return [...new Set(this.#life.rows.map(row => row.service).filter(Boolean))];
  }

  #lines() {
    const {rows, lines, begin} = this.#life, {heading, lines: list} = this.#parts;
    heading.hidden = lines.length === 0;
    setText(heading, this.#life.searched ? "Lines found" : "All lines");
    const kindOf = line => rows[line.row]?.kind ?? "";
    list.dataset.begin = String(begin);
    fill(list, lines, line => JSON.stringify([line, kindOf(line)]), line => makeLine(line, afterText(line.at), kindOf(line)));
  }

  #drawBars() {
    const {rows, searched} = this.#life, services = this.#services();
    const deepest = Math.max(...rows.map(row => row.depth), 1), below = rows.map(() => 0), hidden = [];
    for (const row of rows) if (row.parent >= 0) below[row.parent] += 1;
    const seen = new Set(rows.map(row => row.key));
    for (const [key, bar] of this.#bars) if (!seen.has(key)) { bar.root.remove(); this.#bars.delete(key); }
    rows.forEach((row, place) => {
      const above = row.parent;
      hidden.push(above >= 0 && (hidden[above] || this.#folded.has(rows[above].key)));
      row.hue = this.#byService && row.service ? services.indexOf(row.service) % HUES : null;
      const bar = this.#bars.get(row.key) ?? this.#make(row.key);
      bar.show(row, {
        searched, deepest, below: below[place], isOpen: this.#open.has(row.key), isFolded: this.#folded.has(row.key),
        statements: this.#queries === row.key ? this.#life.statements : null,
      });
      bar.root.hidden = hidden[place];
      const {bars} = this.#parts;
      if (bars.children[place] !== bar.root) bars.insertBefore(bar.root, bars.children[place] ?? null);
    });
  }

  #make(key) {
    const bar = new Bar(key, {
      open: () => this.#toggle(this.#open, key),
      fold: () => this.#toggle(this.#folded, key),
      queries: () => { this.#queries = this.#queries === key ? "" : key; this.#again(); },
    });
    this.#bars.set(key, bar);
    return bar;
  }

  #toggle(keys, key) {
    if (!keys.delete(key)) keys.add(key);
    this.#again();
  }

  // Show at once what is known, and ask for what is not.
  #again() {
    if (this.#life === null) return;
    this.#drawBars();
    this.#tools();
    this.#place();
    this.#asked = -Infinity;
    this.#ask();
  }

  #foldAll() {
    const {rows} = this.#life;
    if (this.#folded.size) this.#folded.clear();
    else for (const row of rows) if (row.parent >= 0) this.#folded.add(rows[row.parent].key);
    this.#again();
  }

  #colour() {
    this.#byService = !this.#byService;
    this.#parts.colour.setAttribute("aria-pressed", String(this.#byService));
    if (this.#life !== null) this.#drawBars();
  }

  #inSearch(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#next();
    } else if (event.key === "Escape" && this.#parts.search.value) {
      event.stopPropagation();
      event.preventDefault();
      this.#parts.search.value = "";
      this.#ask();
    }
  }

  // Go to the next bar that was found.
  #next() {
    const hits = [...this.#parts.bars.querySelectorAll(".scope.hit:not([hidden]) > .bar")];
    const next = hits[(hits.findIndex(hit => hit.classList.contains("here")) + 1) % Math.max(hits.length, 1)];
    for (const hit of this.#parts.bars.querySelectorAll(".here")) hit.classList.remove("here");
    next?.classList.add("here");
    next?.scrollIntoView({block: "center"});
  }

  #inBars(event) {
    const bar = [...this.#bars.values()].find(bar => bar.root.contains(event.target));
    if (!bar || event.ctrlKey || event.metaKey || event.altKey) return;
    const isFolded = this.#folded.has(bar.key), canFold = !bar.fold.hidden;
    if (event.key === "ArrowLeft" && canFold && !isFolded) this.#toggle(this.#folded, bar.key);
    else if (event.key === "ArrowRight" && isFolded) this.#toggle(this.#folded, bar.key);
    else if (event.key === "z") this.#zoom.to(bar.row.queued, Math.max(bar.row.end, bar.row.queued + 0.01));
    else if (event.key === "Z") this.#zoom.reset();
    else return;
    event.preventDefault();
  }

  #place() {
    if (this.#life === null) return;
    const {rows, begin, length} = this.#life, now = Date.now();
    const ends = rows.map(row => isOpen(row, now) ? Math.max(now - begin, row.end) : row.end);
    const whole = ends.reduce((one, other) => Math.max(one, other), length) || 1;
    const [from, to] = this.#zoom.range(whole), percent = time => 100 * (time - from) / (to - from);
    rows.forEach((row, place) => this.#bars.get(row.key).place(percent, ends[place], row.state === "running" || row.known));
    this.#parts.whole.hidden = !this.#zoom.isZoomed;
    const steps = Math.min(Math.max(Math.floor(this.#parts.axis.clientWidth / 90), 2), 5), first = ticks(to - from, steps);
    fill(this.#parts.axis, first, tick => `${tick}/${from}/${to}`, tick => {
      const made = element("span", "", tickText(tick, from, this.#zoom.isZoomed));
      made.style.left = `${percent(from + tick).toFixed(3)}%`;
      made.classList.toggle("late", tick / (to - from) > 0.9);
      return made;
    });
  }
}

function isOpen(row, now) {
  return row.state === "running" && isLive({running: true, last: row.last, kind: row.kind}, now);
}

function idElement(what, id) {
  const made = element("span", "an-id"), code = element("code", "", id);
  const copy = button("copy", "Copy", async () => {
    await navigator.clipboard.writeText(id);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  });
  copy.setAttribute("aria-label", `Copy the ${what} id`);
  made.append(element("span", "key", what), " ", code, " ", copy);
  return made;
}
