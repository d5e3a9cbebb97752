// Lines, and what a scope asked the database.

import {element} from "./dom.js";
import {countText, lengthText} from "./format.js";

// From so many times on, the same statement is worth a word.
const OFTEN = 10;
const LOUD = new Set(["warning", "error", "critical"]);

// `at` says when it was, as people read it.
export function makeLine(line, at, kind = "") {
  const made = element("li", LOUD.has(line.level) ? line.level : "");
  made.dataset.kind = kind;
  const body = element("div", "body"), said = element("div");
  said.append(element("b", "", line.event));
  for (const [key, value] of line.fields) {
    const field = element("span", "field");
    field.append(element("span", "key", `${key}=`), value);
    said.append(" ", field);
  }
  body.append(said, ...line.blocks.map(block => element("pre", "", block)));
  made.append(element("span", "at", at), element("span", "level", line.level), body);
  made.title = line.logger;
  return made;
}

export function afterText(milliseconds) {
  return `${milliseconds < 0 ? "−" : "+"}${lengthText(Math.abs(milliseconds))}`;
}

export function queriesText({count, took}) {
  return `${countText(count)} ${count === 1 ? "query" : "queries"} · ${lengthText(took)}`;
}

// The queries of a scope: by their text, those that took longest first, and below that each in its turn.
export function makeStatements({groups, each, more}) {
  const made = element("div", "statements");
  const grouped = element("ol", "groups"), ordered = element("ol", "each");
  grouped.setAttribute("aria-label", "By statement, those that took longest first");
  ordered.setAttribute("aria-label", "In their order");
  for (const group of groups) {
    const item = element("li"), many = group.count > 1;
    item.append(
      element("span", "took", lengthText(group.took)),
      element("span", group.count < OFTEN ? "times" : "times often", many ? `${countText(group.count)} ×` : `#${group.first}`),
      element("code", "", group.text || "no text"),
    );
    if (many) {
      const about = element("span", "most");
      about.append(element("span", group.count < OFTEN ? "" : "often", `the same statement ${countText(group.count)} times`), `, the slowest took ${lengthText(group.most)}`);
      item.append(about);
    }
    grouped.append(item);
  }
  for (const statement of each) {
    const item = element("li");
    item.append(
      element("span", "at", afterText(statement.at)),
      element("span", "took", lengthText(statement.took)),
      Object.assign(element("code", "", statement.text || "no text"), {title: statement.text}),
    );
    if (statement.about.length) item.append(element("span", "most", statement.about.join(" · ")));
    ordered.append(item);
  }
  made.append(element("h3", "", "Slowest first"), grouped, element("h3", "", "In their order"), ordered);
  if (more) made.append(element("p", "note", `${countText(more)} more are not shown.`));
  return made;
}
