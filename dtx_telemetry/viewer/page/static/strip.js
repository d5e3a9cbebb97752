// How many began over time, and how many of those failed: a bar for each part of time.

import {setText} from "./dom.js";
import {countText, lengthText, momentText} from "./format.js";
import {hasFailed} from "./rows.js";

const SVG = "http://www.w3.org/2000/svg", PARTS = 120, FEWEST = 30, HEIGHT = 36;
const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map(seconds => seconds * 1000);
// Pixels after which a press is a drag, and milliseconds between two descriptions for those who do not see it.
const DRAG = 4, PATIENCE = 5000;

export class Strip {
  #root; #plot; #all; #bad; #chosen; #about; #onChoose;
  #shown = {begin: 0, width: 1000, parts: []}; #from = null; #described = -Infinity;

  // `onChoose` hears which time was chosen, in milliseconds.
  constructor(root, onChoose) {
    this.#root = root;
    this.#onChoose = onChoose;
    this.#plot = root.querySelector(".plot");
    this.#about = root.querySelector(".peak");
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("preserveAspectRatio", "none");
    [this.#all, this.#bad, this.#chosen] = ["all", "bad", "chosen"].map(name => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      drawing.append(path);
      return path;
    });
    this.#plot.append(drawing);
    this.#plot.addEventListener("pointerdown", event => this.#press(event));
    this.#plot.addEventListener("pointermove", event => this.#point(event));
    this.#plot.addEventListener("pointerup", event => this.#release(event));
    for (const name of ["pointerleave", "pointercancel"]) this.#plot.addEventListener(name, () => this.#leave());
  }

  // Show what the server counted, else what `rows` are.
  show(counted, rows) {
    this.#shown = widened(counted ?? count(rows));
    const {begin, width, parts} = this.#shown, most = Math.max(...parts.map(([all]) => all), 1);
    this.#root.hidden = parts.length === 0;
    this.#plot.firstElementChild.setAttribute("viewBox", `0 0 ${Math.max(parts.length, 1)} ${HEIGHT}`);
    draw(this.#all, parts.map(([all]) => all / most));
    draw(this.#bad, parts.map(([, bad]) => bad / most));
    const peak = `peak ${countText(most)} in ${lengthText(width).replace(".00", "")}`;
    if (this.#from === null && !this.#plot.matches(":hover")) setText(this.#about, peak);
    setText(this.#root.querySelector(".from"), momentText(begin).slice(0, -4));
    setText(this.#root.querySelector(".to"), momentText(begin + width * parts.length).slice(0, -4));
    this.#describe(peak);
  }

  #describe(peak) {
    if (performance.now() - this.#described < PATIENCE) return;
    this.#described = performance.now();
    const sum = place => countText(this.#shown.parts.reduce((total, part) => total + part[place], 0));
    this.#plot.setAttribute("aria-label", `Over time: ${sum(0)} began, ${sum(1)} of them failed, ${peak}`);
  }

  #part(event) {
    const {left, width} = this.#plot.getBoundingClientRect(), count = this.#shown.parts.length;
    return Math.min(Math.max(Math.floor(count * (event.clientX - left) / width), 0), count - 1);
  }

  #timeOf(part) {
    return this.#shown.begin + part * this.#shown.width;
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#from = {x: event.clientX, part: this.#part(event)};
    this.#plot.setPointerCapture(event.pointerId);
  }

  #point(event) {
    const part = this.#part(event), [all, bad] = this.#shown.parts[part] ?? [0, 0];
    setText(this.#about, `${momentText(this.#timeOf(part))}: ${countText(all)}${bad ? `, ${countText(bad)} failed` : ""}`);
    if (this.#from === null) return;
    const [first, last] = [this.#from.part, part].sort((one, other) => one - other);
    this.#chosen.setAttribute("d", `M${first} 0H${last + 1}V${HEIGHT}H${first}Z`);
  }

  #release(event) {
    const from = this.#from, moved = from !== null && Math.abs(event.clientX - from.x) > DRAG;
    this.#leave();
    if (!moved) return;
    const [first, last] = [from.part, this.#part(event)].sort((one, other) => one - other);
    this.#onChoose(this.#timeOf(first), this.#timeOf(last + 1));
  }

  #leave() {
    this.#from = null;
    this.#chosen.setAttribute("d", "");
  }
}

// A short time does not fill the whole width.
function widened({begin, width, parts}) {
  const missing = parts.length ? Math.max(FEWEST - parts.length, 0) : 0;
  return {begin: begin - missing * width, width, parts: [...Array.from({length: missing}, () => [0, 0]), ...parts]};
}

function draw(path, heights) {
  const bars = heights.map((height, place) => {
    const top = HEIGHT - (height > 0 ? Math.max(height * HEIGHT, 1.5) : 0);
    return height > 0 ? `M${place + 0.08} ${HEIGHT}V${top.toFixed(2)}H${place + 0.92}V${HEIGHT}Z` : "";
  });
  path.setAttribute("d", bars.join(""));
}

function count(rows) {
  if (rows.length === 0) return {begin: 0, width: 1000, parts: []};
  const times = rows.map(row => row.first), first = Math.min(...times), last = Math.max(...times);
  const width = WIDTHS.find(width => (last - first) / width < PARTS) ?? (last - first) / PARTS;
  const begin = Math.floor(first / width) * width;
  const parts = Array.from({length: Math.floor((last - begin) / width) + 1}, () => [0, 0]);
  for (const row of rows) {
    const part = parts[Math.floor((row.first - begin) / width)];
    part[0] += 1;
    part[1] += hasFailed(row);
  }
  return {begin, width, parts};
}
