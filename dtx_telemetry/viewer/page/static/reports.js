// Errors, slow ones, and lines without a request: each a page of its own.

import {element, fill, setText} from "./dom.js";
import {countText, lengthText, momentText, plural} from "./format.js";
import {makeLine} from "./lines.js";

// Milliseconds between two times that they are asked for anew.
const PATIENCE = 2000;
const KINDS = {request: ""};

export class Report {
  #root; #hrefOf; #name = ""; #filter = ""; #lines = -1; #asked = -Infinity; #patience = PATIENCE; #timer = 0;

  constructor(root, hrefOf) {
    this.#root = root;
    this.#hrefOf = hrefOf;
  }

  // Show the page `name` for `filter`; nothing for an empty name.
  open(name, filter) {
    if (name === this.#name && filter === this.#filter) return;
    if (name !== this.#name) this.#root.replaceChildren();
    [this.#name, this.#filter, this.#lines, this.#asked] = [name, filter, -1, -Infinity];
    this.#root.hidden = name === "";
  }

  // So many lines were read by now; what was shown is of before.
  update(lines) {
    if (this.#name === "" || lines === this.#lines) return;
    this.#lines = lines;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), Math.max(this.#asked + this.#patience - performance.now(), 0));
  }

  async #ask() {
    const name = this.#name, filter = this.#filter;
    const begin = this.#asked = performance.now();
    const answer = await fetch(`/${name}?${new URLSearchParams({filter})}`).catch(() => null);
    const found = answer?.ok ? await answer.json() : null;
    this.#patience = Math.max(PATIENCE, 5 * (performance.now() - begin));
    if (name !== this.#name || filter !== this.#filter || found === null) return;
    if (this.#root.childElementCount === 0) this.#root.append(element("p", "note"), element("div", "table"));
    const [note, table] = this.#root.children;
    setText(note, NOTES[name](found));
    SHOW[name](table, found, this.#hrefOf);
  }
}

const left = found => (found.evicted ? ` ${countText(found.evicted)} older requests are no longer kept, and not counted.` : "");
const NOTES = {
  errors: found => (found.rows.length ? `${plural(found.rows.length, "kind")} of errors.` : "No line is of level error or critical.") + left(found),
  slow: found => (found.rows.length ? "The slowest first." : "No line tells how long anything took.") + left(found),
  loose: found => `${countText(found.matches)} of ${plural(found.kept, "line")} without a request`
    + `${found.dropped ? `; ${countText(found.dropped)} older ones are no longer kept` : ""}.`,
};
const SHOW = {errors: showErrors, slow: showSlow, loose: showLoose};

function showErrors(root, {rows}, hrefOf) {
  showTable(root, rows, ["Count", "What and where", "First", "Last", "Id"], row => [
    ["number", countText(row.count)],
    ["what", [element("b", "", row.type), " ", element("span", "place", row.place), element("span", "message", row.message),
      row.statement ? element("code", "statement", row.statement) : ""]],
    ["time", momentText(Date.parse(row.first))],
    ["time", momentText(Date.parse(row.last))],
    ["id", idsOf(row, hrefOf)],
  ]);
}

function showSlow(root, {rows}, hrefOf) {
  const times = ["p50_ms", "p95_ms", "p99_ms", "max_ms", "queue_p95_ms"].filter(name => rows.some(row => row[name] !== null));
  const asks = rows.some(row => row.queries_p95 !== null), asked = asks ? ["Queries p95", "Database p95"] : [];
  const heads = times.map(name => name.replace("_ms", "").replace("queue_", "queue ").replace("max", "Max"));
  showTable(root, rows, ["What", "Count", "Errors", ...heads, ...asked, "Id"], row => [
    ["what", [element("span", "kind", KINDS[row.kind] ?? row.kind), " ", element("b", "", row.name)]],
    ["number", countText(row.count)],
    ["number bad", row.errors ? countText(row.errors) : ""],
    ...times.map(name => ["number", row[name] === null ? "" : lengthText(row[name])]),
    ...(asks ? [["number", row.queries_p95 === null ? "" : countText(row.queries_p95)]] : []),
    ...(asks ? [["number", row.database_p95_ms === null ? "" : lengthText(row.database_p95_ms)]] : []),
    ["id", idsOf(row, hrefOf)],
  ]);
}

function showTable(root, rows, heads, cellsOf) {
  if (root.childElementCount === 0) {
    const table = element("table"), head = element("thead"), line = element("tr");
    head.append(line);
    table.append(head, element("tbody"));
    root.append(table);
  }
  const [head, body] = root.firstElementChild.children, names = rows.length ? cellsOf(rows[0]).map(([name]) => name) : [];
  root.firstElementChild.hidden = rows.length === 0;
  const said = heads.map((text, place) => [text, names[place] ?? ""]);
  fill(head.firstElementChild, said, String, ([text, name]) => Object.assign(element("th", name, text), {scope: "col"}));
  fill(body, rows, JSON.stringify, row => {
    const made = element("tr");
    cellsOf(row).forEach(([name, content], place) => {
      const cell = element("td", name);
      cell.dataset.head = heads[place];
      cell.append(...[content].flat());
      made.append(cell);
    });
    return made;
  });
}

// The ids of an example: where there are several, of the first and the last.
function idsOf(row, hrefOf) {
  const ids = [row.first_id, row.last_id, row.slowest].filter(Boolean);
  return [...new Set(ids)].flatMap(id => [Object.assign(element("a", "", id.slice(0, 8)), {href: hrefOf(id)}), " "]);
}

function showLoose(root, {lines}) {
  if (root.childElementCount === 0) root.append(element("ol", "lines"));
  fill(root.firstElementChild, lines, JSON.stringify, line => makeLine(line, momentText(line.at)));
}
