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
  node.replaceChildren(element("span", "first", text.slice(0, -TAIL)), element("span", "", text.slice(-TAIL)));
}

const TAIL = 16;
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
