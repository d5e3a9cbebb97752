// The bars of a waterfall: one scope each, with what is open below it.

import {button, element, fill, setName, setText} from "./dom.js";
import {lengthText} from "./format.js";
import {afterText, makeLine, makeStatements, queriesText} from "./lines.js";

// Pixels by which a bar is moved in; of deeper trees, the first ones more than those that follow.
const STEP = 15, STEPS = 8;

function inset(depth, deepest) {
  if (deepest <= STEPS) return depth * STEP;
  return STEP * STEPS * (0.8 * (1 - 2 ** (-depth / 4)) + 0.2 * depth / deepest);
}

export class Bar {
  // `on` has what is to be done: open(key), fold(key), queries(key).
  constructor(key, on) {
    this.key = key;
    this.root = element("li", "scope");
    this.open = button("bar", "", () => on.open(key));
    this.fold = button("fold", "", () => on.fold(key));
    this.queries = button("queries", "", () => on.queries(key));
    this.queries.setAttribute("aria-expanded", "false");
    const label = element("span", "label"), name = element("span", "text"), status = element("span", "status");
    const depth = element("span", "depth"), service = element("span", "service");
    const lane = element("span", "lane"), wait = element("span", "wait"), run = element("span", "run");
    const marks = element("span", "marks"), took = element("span", "took");
    label.append(depth, name, status, service);
    lane.append(wait, run, marks);
    this.open.append(label, lane, took);
    const error = element("p", "error"), notes = element("p", "notes"), repeat = element("span", "repeat");
    const asked = element("p", "asked"), lines = element("ol", "lines"), statements = element("div", "answers");
    asked.append(this.queries, " ", repeat);
    this.root.append(this.fold, this.open, error, asked, notes, statements, lines);
    this.parts = {label, depth, name, status, service, lane, wait, run, marks, took, error, notes, asked, repeat, lines, statements};
  }

  // Show `row`; `state` says what is open, folded and looked for, and how deep the deepest is.
  show(row, state) {
    const {parts, root} = this;
    this.row = row;
    root.className = `scope ${row.state}`;
    root.classList.toggle("hit", state.searched && row.hit);
    root.classList.toggle("miss", state.searched && !row.hit);
    root.dataset.kind = row.kind;
    root.style.setProperty("--in", `${inset(row.depth, state.deepest).toFixed(2)}px`);
    if (row.hue === null) root.style.removeProperty("--service");
    else root.style.setProperty("--service", `var(--hue-${row.hue})`);
    setText(parts.depth, row.depth > STEPS ? String(row.depth) : "");
    setName(parts.name, row.label);
    parts.label.title = row.label;
    setText(parts.status, row.state === "running" ? "" : row.status);
    setText(parts.service, row.service);
    setText(parts.error, row.error ?? "");
    setText(parts.notes, state.isOpen ? row.notes.join(" · ") : "");
    this.#queries(row.queries, state);
    this.#fold(state);
    this.#lines(row, state);
  }

  #queries(queries, state) {
    const {parts} = this;
    parts.asked.hidden = queries === null;
    if (queries !== null) {
      setText(this.queries, queriesText(queries));
      this.queries.disabled = queries.told === 0;
      this.queries.title = queries.told ? "Show the statements" : "DB_QUERIES=lines logs each statement";
      this.queries.setAttribute("aria-expanded", String(state.statements !== null));
      setText(parts.repeat, queries.repeat === null ? "" : `the same statement ${queries.repeat} times`);
      parts.repeat.title = queries.repeated ?? "";
    }
    const shown = state.statements === null ? [] : [state.statements];
    fill(parts.statements, shown, statements => JSON.stringify(statements), makeStatements);
  }

  #fold(state) {
    this.fold.hidden = state.below === 0;
    this.fold.setAttribute("aria-expanded", String(!state.isFolded));
    this.fold.setAttribute("aria-label", `${state.below} below ${this.row.label}`);
    setText(this.fold, state.isFolded ? "▸" : "▾");
  }

  #lines(row, state) {
    const {parts} = this, shown = state.isOpen ? row.lines ?? [] : [];
    this.open.setAttribute("aria-expanded", String(state.isOpen));
    parts.lines.hidden = !state.isOpen;
    fill(parts.lines, shown, JSON.stringify, line => makeLine(line, afterText(line.at), row.kind));
  }

  // Draw it where `percent` says; `end` is where it ends by now.
  place(percent, end, isKnown) {
    const {parts, row} = this, width = (from, to) => `${(percent(to) - percent(from)).toFixed(3)}%`;
    parts.wait.style.left = `${percent(row.queued).toFixed(3)}%`;
    parts.wait.style.width = width(row.queued, row.start);
    parts.run.style.left = `${percent(row.start).toFixed(3)}%`;
    parts.run.style.width = width(row.start, end);
    setText(parts.took, isKnown ? lengthText(end - row.start) : "");
    fill(parts.marks, row.marks, String, () => element("i"));
    row.marks.forEach(([from, to], place) => {
      const mark = parts.marks.children[place];
      mark.style.left = `${percent(from).toFixed(3)}%`;
      mark.style.width = width(from, to);
    });
  }
}
