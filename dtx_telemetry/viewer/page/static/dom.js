// Elements. Whatever comes from a line gets in as a text node, and never as markup.

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function button(className, text, action) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Show `text` so that, where there is no room, its middle goes: of a path or a dotted name the end tells the most.
export function setName(node, text) {
  if (node.textContent === text) return;
  const method = /^[A-Z]{3,7} (?=\/)/.exec(text)?.[0] ?? "", rest = text.slice(method.length);
  const cut = rest.length > SHORT ? rest.length - TAIL : rest.length;
  const parts = [["method", method], ["first", rest.slice(0, cut)], ["", rest.slice(cut)]];
  node.replaceChildren(...parts.filter(([, part]) => part).map(([name, part]) => element("span", name, part)));
}

const SHORT = 22, TAIL = 15;
const keysOf = new WeakMap();

// Have `parent` hold what `items` are, and leave alone what it holds already: text that is marked stays so.
export function fill(parent, items, keyOf, make) {
  const before = keysOf.get(parent) ?? [], keys = items.map(keyOf);
  let same = 0;
  while (same < before.length && same < keys.length && before[same] === keys[same]) same += 1;
  while (parent.children.length > same) parent.lastElementChild.remove();
  parent.append(...items.slice(same).map(make));
  keysOf.set(parent, keys);
}
