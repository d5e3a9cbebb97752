// Numbers and times as people read them.

export function lengthText(milliseconds) {
  const seconds = milliseconds / 1000;
  if (milliseconds < 9.995) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 99.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`;
  if (seconds < 59.995) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} m ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${two(minutes % 60)} m` : `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

export function timeText(milliseconds) {
  const moment = new Date(milliseconds);
  const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
  return `${clock}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

export function dayText(milliseconds) {
  const moment = new Date(milliseconds);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

// A time of day, with its day where that is not today.
export function momentText(milliseconds, now = Date.now()) {
  const day = dayText(milliseconds), today = dayText(now);
  if (day === today) return timeText(milliseconds);
  return day.slice(0, 4) === today.slice(0, 4) ? `${day.slice(5)} ${timeText(milliseconds).slice(0, 8)}` : `${day} ${timeText(milliseconds).slice(0, 5)}`;
}

export function plural(number, word) {
  return `${countText(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function countText(number) {
  return number.toLocaleString("en");
}

// Round times between 0 and `length` milliseconds, at most so many steps.
export function ticks(length, most) {
  if (!(length > 0)) return [0];
  const step = length < MINUTE ? roundStep(length, most) : ROUND.find(step => step * most >= length) ?? roundStep(length, most);
  return Array.from({length: Math.floor(length / step + 1e-9) + 1}, (_, number) => number * step);
}

// Of time, 1 and 2 and 5 are round up to a minute; then 15 minutes are, and 6 hours.
const MINUTE = 60000, HOUR = 60 * MINUTE;
const ROUND = [
  10000, 15000, 30000, ...[1, 2, 5, 10, 15, 30].map(count => count * MINUTE), ...[1, 2, 3, 6, 12, 24].map(count => count * HOUR),
];

function roundStep(length, most) {
  const power = 10 ** Math.floor(Math.log10(length / most));
  return [1, 2, 5, 10].map(factor => factor * power).find(step => step * most >= length * 0.999);
}

// Of a part that begins `from` milliseconds after the whole does, ticks are told with a plus from there.
export function tickText(milliseconds, from = 0, isPart = false) {
  if (milliseconds === 0) return isPart ? lengthText(from) : "0";
  if (isPart) return `+${tickText(milliseconds)}`;
  if (milliseconds >= 60000) return lengthText(milliseconds);
  const [value, unit] = milliseconds >= 1000 ? [milliseconds / 1000, "s"] : [milliseconds, "ms"];
  return `${parseFloat(value.toPrecision(4))} ${unit}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}
