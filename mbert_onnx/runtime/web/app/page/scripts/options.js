// Lists of what a model chooses from, each with its score, as a number and as a bar.

import { element } from "./elements.js";

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const asPercent = (score) => percent.format(score);
export const asNumber = (score) => decimal.format(score);

/**
 * A list of options, best first: [{name, score, share}], with a bar of the share, 0 to 1, if there is one.
 *
 * format: of scores. onSelect(place): if given, each option is a button, and the first one is chosen.
 */
export function optionList(options, { format = asPercent, onSelect = null } = {}) {
  const items = options.map(({ name, score, share = score }, place) => {
    const parts = [
      element("span", { className: "name", dir: "auto" }, name),
      element("span", { className: "value" }, format(score)),
      share === null ? null : bar(share),
    ];
    if (onSelect === null) return element("div", { className: place ? "option" : "option first" }, ...parts);
    return element("button", { type: "button", className: "option", "aria-pressed": String(!place) }, ...parts);
  });
  items.forEach((item, place) => {
    if (onSelect === null) return;
    item.onclick = () => {
      for (const other of items) other.ariaPressed = String(other === item);
      onSelect(place);
    };
  });
  return element("ol", { className: "options" }, ...items.map((item) => element("li", {}, item)));
}

/** The first options, and the others in a part that can be opened. */
export function longList(options, settings, shown = 10) {
  if (options.length <= shown) return [optionList(options, settings)];
  const others = element("details", {}, element("summary", {}, `${options.length - shown} others`));
  others.append(optionList(options.slice(shown), settings));
  return [optionList(options.slice(0, shown), settings), others];
}

/** A line for each text of which the model could not read all tokens; names: of the texts, in the order of `cut`. */
export function cutNotes(cut, names) {
  return names.flatMap((name, place) => {
    const tokens = cut?.data[place] ?? 0;
    const what = tokens === 1 ? "1 token of it was" : `${tokens} tokens of it were`;
    return tokens > 0 ? [element("p", { className: "note" }, `${name} is too long for the model: ${what} not read.`)] : [];
  });
}

function bar(share) {
  const fill = element("span");
  fill.style.width = `${Math.min(Math.max(share, 0), 1) * 100}%`;
  return element("span", { className: "bar", "aria-hidden": "true" }, fill);
}
