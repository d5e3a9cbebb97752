// The rows of the list, as the server tells of them; it keeps the newest, and so does this.

const NAMES = [
  "id", "version", "kind", "name", "status", "duration", "failed", "first", "last", "user", "labels", "lines", "tasks",
  "messages", "errors", "running",
];
const ODD = new Set(["cancelled", "rejected", "ignored", "retried", "revoked"]);
const MINUTE = 60000;

export class Rows {
  #rows = new Map();

  get size() {
    return this.#rows.size;
  }

  get(id) {
    return this.#rows.get(id);
  }

  // Take a message of the server's.
  take(message) {
    if (message.anew) this.#rows.clear();
    for (const values of message.rows) {
      const id = values[0], row = this.#rows.get(id) ?? {};
      NAMES.forEach((name, place) => { row[name] = values[place]; });
      row.text = "";
      this.#rows.delete(id);  // to the end: the order is that of the changes
      this.#rows.set(id, row);
    }
    for (const id of this.#rows.keys()) {
      if (this.#rows.size <= message.lives) break;
      this.#rows.delete(id);
    }
  }

  // Those that `fits` says, the newest first.
  newest(fits) {
    return [...this.#rows.values()].filter(fits).sort((one, other) => other.first - one.first);
  }
}

// Whether it runs, as far as can be known: an end may be missing from the lines. Only a connection may be silent for long.
export function isLive(row, now = Date.now()) {
  return row.running && now - row.last < (row.kind === "connection" ? 24 * 60 : 10) * MINUTE;
}

export function stateOf(row) {
  if (row.failed) return "failed";
  if (ODD.has(row.status) || /^4\d\d$/.test(row.status)) return "notable";
  return !row.status && isLive(row) ? "running" : "";
}

// What it took: of the scope that the life is named after, else of everything so far.
export function tookOf(row, now = Date.now()) {
  if (row.duration !== null) return row.duration;
  return isLive(row, now) ? Math.max(now - row.first, 0) : row.last - row.first;
}
