// The list: of ten thousand rows only those are elements that one sees.

import {element, setName, setText} from "./dom.js";
import {lengthText, timeText} from "./format.js";
import {isLive, stateOf, tookOf} from "./rows.js";

const NARROW = 640, HEIGHT = 34, NARROW_HEIGHT = 54;
// Milliseconds for which nothing moves under a pointer that does.
const STEADY = 1200;
const CELLS = ["time", "what", "status", "took", "caused", "user", "labels", "id"];

export class List {
  #scroller; #canvas; #onOpen; #onHeld;
  #newest = []; #shown = []; #elements = [];
  #height = HEIGHT; #paused = false; #moved = -Infinity;
  selected = null;

  constructor(scroller, canvas, onOpen, onHeld) {
    this.#scroller = scroller;
    this.#canvas = canvas;
    this.#onOpen = onOpen;
    this.#onHeld = onHeld;
    scroller.addEventListener("scroll", () => { this.#settle(); this.draw(); }, {passive: true});
    scroller.addEventListener("pointermove", () => { this.#moved = performance.now(); }, {passive: true});
    canvas.addEventListener("click", event => this.#click(event));
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
    return this.selected;
  }

  draw() {
    const first = Math.max(Math.floor(this.#scroller.scrollTop / this.#height) - 4, 0);
    const count = Math.ceil(this.#scroller.clientHeight / this.#height) + 8;
    const height = `${this.#shown.length * this.#height}px`;
    if (this.#canvas.style.height !== height) this.#canvas.style.height = height;
    const rows = this.#shown.slice(first, first + count), now = Date.now();
    while (this.#elements.length < rows.length) this.#elements.push(this.#make());
    this.#elements.forEach((made, place) => this.#fill(made, rows[place], first + place, now));
    const active = this.#elements.find(made => !made.root.hidden && made.id === this.selected);
    if (active) this.#scroller.setAttribute("aria-activedescendant", active.root.id);
    else this.#scroller.removeAttribute("aria-activedescendant");
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
    this.#scroller.parentElement.classList.toggle("narrow", narrow);
    this.draw();
  }

  #make() {
    const root = element("div", "row"), cells = {};
    root.id = `row-${this.#elements.length}`;
    root.setAttribute("role", "option");
    for (const name of CELLS) root.append(cells[name] = element("span", name));
    const kind = element("span", "kind"), name = element("span", "name");
    cells.what.append(kind, name);
    const causes = element("span"), errors = element("span", "errors");
    cells.caused.append(causes, " ", errors);
    this.#canvas.append(root);
    return {root, cells, kind, name, causes, errors, id: null};
  }

  #fill(made, row, place, now) {
    const {root, cells} = made;
    root.hidden = row === undefined;
    made.id = row?.id ?? null;
    if (row === undefined) return;
    const isSelected = row.id === this.selected;
    root.className = `row ${stateOf(row)}`;
    root.dataset.kind = row.kind;
    root.style.transform = `translateY(${place * this.#height}px)`;
    root.setAttribute("aria-selected", String(isSelected));
    root.setAttribute("aria-posinset", String(place + 1));
    root.setAttribute("aria-setsize", String(this.#shown.length));
    setText(cells.time, timeText(row.first));
    setText(made.kind, row.kind);
    setName(made.name, row.name.replaceAll(",", ", ") || (row.kind ? "" : "…"));
    made.name.title = row.name;
    setText(cells.status, row.status || (isLive(row, now) ? "running" : ""));
    setText(cells.took, lengthText(tookOf(row, now)));
    setText(made.causes, causesText(row, now));
    setText(made.errors, row.errors && !row.failed ? `${row.errors} error${row.errors > 1 ? "s" : ""}` : "");
    setText(cells.user, row.user === null ? "" : row.user);
    setText(cells.labels, row.labels.join(", "));
    setText(cells.id, row.id.slice(0, 8));
  }

  #click(event) {
    const root = event.target.closest(".row");
    const made = this.#elements.find(made => made.root === root);
    if (made?.id != null) this.#onOpen(made.id);
  }
}

function causesText(row, now) {
  const said = row.status && isLive(row, now) ? ["running"] : [];
  if (row.tasks) said.push(`${row.tasks} task${row.tasks > 1 ? "s" : ""}`);
  if (row.messages) said.push(`${row.messages} msg`);
  return said.join(", ");
}
