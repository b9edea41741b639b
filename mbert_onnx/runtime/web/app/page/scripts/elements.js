// Elements of the page. Texts are set as text, never as HTML.

let count = 0;

/** An element: its tag, its properties, its children (elements or texts; null is left out). */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A text box with its label. lines: 1, or more for a box of several lines, or "tall". Returns {node, input}. */
export function field(label, value, lines = 3) {
  const id = `field-${count++}`;
  const shape = lines === 1 ? { type: "text", autocomplete: "off" } : { className: lines === "tall" ? "tall" : "" };
  const input = element(lines === 1 ? "input" : "textarea", { id, value, dir: "auto", ...shape });
  return { node: element("div", { className: "field" }, element("label", { htmlFor: id }, label), input), input };
}

/**
 * A group of one-line boxes that may be added and removed.
 *
 * legend: of the group. name: of one, such as "Choice". values: at the beginning. least: boxes that stay.
 * Returns {node, inputs()}.
 */
export function fields(legend, name, values, least) {
  const rows = element("div");
  const inputs = () => [...rows.querySelectorAll("input")];
  const renumber = () => {
    for (const [place, row] of [...rows.children].entries()) {
      row.querySelector("input").ariaLabel = `${name} ${place + 1}`;
      row.querySelector("button").ariaLabel = `Remove ${name.toLowerCase()} ${place + 1}`;
      row.querySelector("button").hidden = rows.children.length <= least;
    }
  };
  const add = (value) => {
    const input = element("input", { type: "text", autocomplete: "off", dir: "auto", value });
    const remove = element("button", { type: "button" }, "✕");
    const row = element("div", { className: "row" }, input, remove);
    remove.onclick = () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      renumber();
      next.querySelector("input").focus();
    };
    rows.append(row);
    renumber();
    return input;
  };
  values.forEach(add);
  const more = element("button", { type: "button", onclick: () => add("").focus() }, `Add ${name.toLowerCase()}`);
  return { node: element("fieldset", {}, element("legend", {}, legend), rows, more), inputs };
}

/** A text, in which spans that `pieces` found are what mark(span, text) returns. */
export function reading(found, mark) {
  const shown = found.map(({ text, span }) => (span === null ? text : mark(span, text)));
  return element("p", { className: "reading", dir: "auto" }, ...shown);
}
