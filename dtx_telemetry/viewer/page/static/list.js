// The list: of ten thousand rows only those are elements that one sees.

import {element, setText, setName} from "./dom.js";
import {countText, lengthText, momentText} from "./format.js";
import {isLive, stateOf, tookOf} from "./rows.js";

const NARROW = 760, HEIGHT = 34, NARROW_HEIGHT = 54;
// Milliseconds for which nothing moves under a pointer that does.
const STEADY = 1200;
const CELLS = ["time", "what", "status", "took", "queries", "caused", "service", "user", "labels", "id"];

export class List {
  #scroller; #canvas; #hrefOf; #onHeld;
  #newest = []; #shown = []; #drawn = new Map(); #spare = []; #made = 0;
  #height = HEIGHT; #paused = false; #moved = -Infinity;
  selected = null;

  // Of a row, `hrefOf` says where it leads; `onHeld` hears how many new ones are held back, and how many are shown.
  constructor(scroller, canvas, hrefOf, onHeld) {
    this.#scroller = scroller;
    this.#canvas = canvas;
    this.#hrefOf = hrefOf;
    this.#onHeld = onHeld;
    scroller.addEventListener("scroll", () => { this.#settle(); this.draw(); }, {passive: true});
    scroller.addEventListener("pointermove", () => { this.#moved = performance.now(); }, {passive: true});
    new ResizeObserver(() => this.#resize()).observe(scroller);
  }

  // Show `rows`, the newest first: at once with `force`, else when nobody is looking at a place further down.
  show(rows, force = false) {
    this.#newest = rows;
    if (force) this.#scroller.scrollTop = 0;
    this.#settle(force);
    this.draw();
  }

  set paused(paused) {
    this.#paused = paused;
    this.tick();
  }

  // Let go what was held, if nobody looks any more, and let grow what runs.
  tick() {
    this.#settle();
    this.draw();
  }

  get #isHeld() {
    return this.#paused || this.#scroller.scrollTop > 2 || performance.now() - this.#moved < STEADY;
  }

  toTop() {
    this.#moved = -Infinity;
    this.#scroller.scrollTop = 0;
    this.#settle(true);
    this.draw();
  }

  // Select the row that is so many further down, or up; the first where none is selected.
  move(step) {
    const at = this.#shown.findIndex(row => row.id === this.selected);
    const next = Math.min(Math.max(at < 0 ? 0 : at + step, 0), this.#shown.length - 1);
    if (next < 0) return null;
    this.selected = this.#shown[next].id;
    const top = next * this.#height, room = this.#scroller.clientHeight - this.#height;
    if (next > 0 && top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    if (next === 0) this.#scroller.scrollTop = 0;
    if (top > this.#scroller.scrollTop + room) this.#scroller.scrollTop = top - room;
    this.draw();
    this.focus();
    return this.selected;
  }

  focus() {
    const made = this.#drawn.get(this.selected) ?? this.#drawn.get(this.#shown[0]?.id);
    if (made) made.link.focus({preventScroll: true});
    else this.#scroller.focus({preventScroll: true});
  }

  draw() {
    const first = Math.max(Math.floor(this.#scroller.scrollTop / this.#height) - 4, 0);
    const count = Math.ceil(this.#scroller.clientHeight / this.#height) + 8;
    const height = `${this.#shown.length * this.#height}px`;
    if (this.#canvas.style.height !== height) this.#canvas.style.height = height;
    const rows = this.#shown.slice(first, first + count), now = Date.now();
    this.#letGo(new Set(rows.map(row => row.id)));
    const reached = rows.some(row => row.id === this.selected) ? this.selected : rows[0]?.id;
    rows.forEach((row, place) => {
      const made = this.#drawn.get(row.id) ?? this.#take(row.id);
      made.link.tabIndex = row.id === reached ? 0 : -1;
      this.#fill(made, row, first + place, now);
    });
  }

  // A row keeps its element as long as it is seen, and with it the focus.
  #letGo(seen) {
    for (const [id, made] of this.#drawn) {
      if (seen.has(id)) continue;
      if (document.activeElement === made.link) this.#scroller.focus({preventScroll: true});
      made.root.hidden = true;
      this.#drawn.delete(id);
      this.#spare.push(made);
    }
  }

  #take(id) {
    const made = this.#spare.pop() ?? this.#make();
    made.root.hidden = false;
    this.#drawn.set(id, made);
    return made;
  }

  #settle(force = false) {
    const held = !force && this.#isHeld && this.#shown.length > 0;
    if (!held) this.#shown = this.#newest;
    const top = this.#shown[0];
    this.#onHeld(held && top ? this.#newest.findIndex(row => row.first <= top.first) : 0, this.#shown.length);
  }

  #resize() {
    const narrow = this.#scroller.clientWidth < NARROW;
    this.#height = narrow ? NARROW_HEIGHT : HEIGHT;
    this.#scroller.closest("section").classList.toggle("narrow", narrow);
    this.draw();
  }

  #make() {
    const root = element("li", "row"), link = element("a"), cells = {};
    root.id = `row-${this.#made++}`;
    root.append(link);
    for (const name of CELLS) link.append(cells[name] = element("span", name));
    const kind = element("span", "kind"), name = element("span", "name");
    cells.what.append(kind, name);
    const causes = element("span"), errors = element("span", "errors");
    cells.caused.append(causes, " ", errors);
    this.#canvas.append(root);
    return {root, link, cells, kind, name, causes, errors};
  }

  #fill(made, row, place, now) {
    const {root, link, cells} = made, live = isLive(row, now);
    root.className = `row ${stateOf(row)}`;
    root.dataset.kind = row.kind;
    root.style.transform = `translateY(${place * this.#height}px)`;
    setAttribute(root, "aria-posinset", String(place + 1));
    setAttribute(root, "aria-setsize", String(this.#shown.length));
    setAttribute(link, "href", this.#hrefOf(row.id));
    setAttribute(link, "aria-current", String(row.id === this.selected));
    setText(cells.time, momentText(row.first, now));
    setText(made.kind, row.kind);
    setName(made.name, row.name.replaceAll(",", ", ") || (row.kind ? "" : "…"));
    made.name.title = row.name;
    setText(cells.status, row.status || (live ? "running" : ""));
    setText(cells.took, lengthText(tookOf(row, now)));
    setText(cells.queries, row.queries === null ? "" : countText(row.queries));
    setText(made.causes, causesText(row, live));
    setText(made.errors, row.errors && !row.failed ? `${row.errors} error${row.errors > 1 ? "s" : ""}` : "");
    setText(cells.service, row.services.join(", "));
    setText(cells.user, row.user === null ? "" : row.user);
    setText(cells.labels, row.labels.join(", "));
    setText(cells.id, row.id.slice(0, 8));
  }
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function causesText(row, live) {
  const said = row.status && live ? ["running"] : [];
  if (row.tasks) said.push(`${row.tasks} task${row.tasks > 1 ? "s" : ""}`);
  if (row.messages) said.push(`${row.messages} msg`);
  return said.join(", ");
}
