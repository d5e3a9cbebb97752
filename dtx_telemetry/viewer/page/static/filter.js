// What is typed into the filter box: every word has to hold.

import {isLive, tookOf} from "./rows.js";

const UNITS = {ms: 1, s: 1000, m: 60000};
const IS = {
  running: row => isLive(row),
  failed: row => hasFailed(row),
};
const FIELDS = {
  kind: row => [row.kind],
  status: row => [row.status],
  user: row => [row.user ?? ""],
  "user.id": row => [row.user ?? ""],
  label: row => row.labels,
  labels: row => row.labels,
  id: row => [row.id],
  "request.id": row => [row.id],
  name: row => [row.name],
};
const KINDS = {
  "": () => true,
  request: row => row.kind === "request",
  task: row => row.kind === "task" || row.tasks > 0,
  connection: row => row.kind === "connection" || row.kind === "message",
  operation: row => row.kind === "operation" || row.kind === "command",
  failed: row => hasFailed(row),
};

export function makeFilter(text, kind) {
  const words = text.match(/-?[\w.]+[=:]"[^"]*"|-?"[^"]*"|\S+/g) ?? [];
  const tests = [KINDS[kind] ?? KINDS[""], ...words.map(makeTest)];
  return row => tests.every(test => test(row));
}

function makeTest(word) {
  if (word.startsWith("-") && word.length > 1) {
    const test = makeTest(word.slice(1));
    return row => !test(row);
  }
  const length = /^([<>])=?(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(word);
  if (length !== null) return lengthTest(length[1], length[2] * UNITS[length[3] ?? "ms"]);
  const pair = /^([\w.]+)[=:](.*)$/.exec(word);
  if (pair?.[1] === "is" && Object.hasOwn(IS, pair[2])) return IS[pair[2]];
  if (pair !== null && Object.hasOwn(FIELDS, pair[1])) return fieldTest(pair[1], bare(pair[2]));
  const wanted = bare(word).toLowerCase();
  return row => textOf(row).includes(wanted);
}

function lengthTest(sign, wanted) {
  return row => (sign === ">" ? tookOf(row) > wanted : tookOf(row) < wanted);
}

function fieldTest(name, wanted) {
  const valuesOf = FIELDS[name];
  if (name === "status" && /^\dxx$/i.test(wanted)) return row => row.status.length === 3 && row.status[0] === wanted[0];
  if (name === "name") return row => row.name.toLowerCase().includes(wanted.toLowerCase());
  if (valuesOf === FIELDS.id) return row => row.id.startsWith(wanted);
  return row => valuesOf(row).includes(wanted);
}

function hasFailed(row) {
  return row.failed || row.errors > 0;
}

function bare(word) {
  return word.replaceAll('"', "");
}

function textOf(row) {
  if (!row.text) row.text = [row.kind, row.name, row.status, row.user ?? "", ...row.labels, row.id].join("\n").toLowerCase();
  return row.text;
}
