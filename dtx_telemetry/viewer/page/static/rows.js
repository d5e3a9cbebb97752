// The rows of the list, as the server tells of them; it keeps the newest, and so does this.

const NAMES = [
  "id", "version", "kind", "name", "status", "duration", "failed", "first", "last", "user", "labels", "lines", "tasks",
  "messages", "errors", "running", "queries", "services",
];
const ODD = new Set(["cancelled", "rejected", "ignored", "retried", "revoked"]);
const MINUTE = 60000;

export const KINDS = {
  "": () => true,
  request: row => row.kind === "request",
  task: row => row.kind === "task" || row.tasks > 0,
  connection: row => row.kind === "connection" || row.kind === "message",
  operation: row => row.kind === "operation" || row.kind === "command",
  failed: hasFailed,
};

export class Rows {
  #rows = new Map();
  services = new Set();

  get size() {
    return this.#rows.size;
  }

  get(id) {
    return this.#rows.get(id);
  }

  // Take the server's news.
  take(news) {
    if (news.anew) this.#rows.clear();
    for (const values of news.rows) {
      const id = values[0], row = this.#rows.get(id) ?? {};
      NAMES.forEach((name, place) => { row[name] = values[place]; });
      this.#rows.set(id, row);
      for (const service of row.services) this.services.add(service);
    }
    for (const id of news.gone) this.#rows.delete(id);
    for (const [id, row] of this.#rows) if (row.version < news.oldest) this.#rows.delete(id);
  }

  // Those of a kind, the newest first.
  newest(kind) {
    return [...this.#rows.values()].filter(KINDS[kind] ?? KINDS[""]).sort((one, other) => other.first - one.first);
  }
}

export function hasFailed(row) {
  return row.failed || row.errors > 0;
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
