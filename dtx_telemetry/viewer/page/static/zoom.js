// Which part of a life's time is shown: whoever drags across the bars sees that part alone.

// Pixels after which a press is a drag.
const DRAG = 5;

export class Zoom {
  #chart; #axis; #drawn; #onChange; #part = null; #whole = 1; #from = null;

  // `axis` tells where the time is drawn, and `drawn` shows what is being chosen.
  constructor(chart, axis, drawn, onChange) {
    this.#chart = chart;
    this.#axis = axis;
    this.#drawn = drawn;
    this.#onChange = onChange;
    drawn.hidden = true;
    chart.addEventListener("pointerdown", event => this.#press(event));
    chart.addEventListener("pointermove", event => this.#move(event));
    addEventListener("pointerup", event => this.#release(event));
    addEventListener("pointercancel", () => this.#stop());
    chart.addEventListener("dblclick", () => this.reset());
  }

  get isZoomed() {
    return this.#part !== null;
  }

  // What is shown of so many milliseconds.
  range(whole) {
    this.#whole = whole;
    return this.#part ?? [0, whole];
  }

  to(from, until) {
    this.#part = [from, until];
    this.#onChange();
  }

  reset() {
    this.#part = null;
    this.#onChange();
  }

  #timeAt(x) {
    const {left, width} = this.#axis.getBoundingClientRect(), [from, to] = this.range(this.#whole);
    return from + (to - from) * Math.min(Math.max((x - left) / width, 0), 1);
  }

  #press(event) {
    const {left, right} = this.#axis.getBoundingClientRect();
    const isTime = event.clientX >= left && event.clientX <= right && event.target.closest(".axis, .lane");
    if (event.button === 0 && isTime) this.#from = {x: event.clientX, isDrag: false};
  }

  #move(event) {
    if (this.#from === null) return;
    if (Math.abs(event.clientX - this.#from.x) > DRAG) this.#from.isDrag = true;
    if (!this.#from.isDrag) return;
    const {left} = this.#chart.getBoundingClientRect(), axis = this.#axis.getBoundingClientRect();
    const within = x => Math.min(Math.max(x, axis.left), axis.right) - left;
    const [first, last] = [within(this.#from.x), within(event.clientX)].sort((one, other) => one - other);
    this.#drawn.hidden = false;
    this.#drawn.style.left = `${first}px`;
    this.#drawn.style.width = `${last - first}px`;
  }

  #release(event) {
    const from = this.#from;
    this.#stop();
    if (!from?.isDrag) return;
    // The press on a bar that began it is no click.
    const stop = click => click.stopPropagation();
    addEventListener("click", stop, {capture: true});
    setTimeout(() => removeEventListener("click", stop, {capture: true}), 0);
    const [first, last] = [this.#timeAt(from.x), this.#timeAt(event.clientX)].sort((one, other) => one - other);
    if (last > first) this.to(first, last);
  }

  #stop() {
    this.#from = null;
    this.#drawn.hidden = true;
  }
}
