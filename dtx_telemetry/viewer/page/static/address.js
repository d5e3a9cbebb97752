// What the page shows stands in its address: it stays on reload, goes back with the browser, and can be sent to somebody.

const NAMES = {view: "view", filter: "q", kind: "kind"};
// Milliseconds of rest after which what is typed is a new step for the browser's way back.
const REST = 1500;

export class Address {
  #onChange; #typed = -Infinity;

  constructor(onChange) {
    this.#onChange = onChange;
    addEventListener("popstate", () => this.#read());
    addEventListener("hashchange", () => this.#read());
  }

  start() {
    this.#read();
  }

  // The address in which `changes` are made to what it says now.
  href(changes) {
    const said = {...this.#said(), ...changes}, query = new URLSearchParams();
    for (const [name, short] of Object.entries(NAMES)) if (said[name]) query.set(short, said[name]);
    return `/${query.size ? `?${query}` : ""}${said.id ? `#${encodeURIComponent(said.id)}` : ""}`;
  }

  go(changes, {replace = false} = {}) {
    const href = this.href(changes);
    if (href !== location.pathname + location.search + location.hash) {
      if (replace) history.replaceState(null, "", href);
      else history.pushState(null, "", href);
    }
    this.#read();
  }

  // As somebody types: the first letter is a step, those right behind it are not.
  type(filter) {
    const now = performance.now();
    this.go({filter}, {replace: now - this.#typed < REST});
    this.#typed = now;
  }

  #said() {
    const query = new URLSearchParams(location.search), said = {id: decoded(location.hash.slice(1))};
    for (const [name, short] of Object.entries(NAMES)) said[name] = query.get(short) ?? "";
    return said;
  }

  #read() {
    this.#onChange(this.#said());
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
