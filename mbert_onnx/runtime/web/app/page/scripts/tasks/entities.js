// Token classification: entities highlighted in the text, each with its label in words.

import { element, field, reading } from "../elements.js";
import { feed } from "../feeds.js";
import { asPercent, cutNotes } from "../options.js";
import { encode, pieces, slice } from "../utf8.js";

const TEXT =
  "Ada Lovelace was born in London. She met Charles Babbage in 1833, and worked with him on the Analytical Engine.";
// Colours that style.css has; they only repeat what the labels say.
const KINDS = 6;

export function create(settings) {
  const box = field("Text", TEXT, "tall");
  let bytes;
  return {
    purpose: "Find names and other entities in a text.",
    action: "Find entities",
    fields: [box.node],
    inputs: () => [box.input],
    feeds: () => {
      bytes = encode(box.input.value);
      return [feed(settings, { text: box.input.value })];
    },
    show: ([{ entities, entity_scores: scores, entity_spans: spans, cut }]) => {
      const found = entities.data.map((number, place) => {
        const [begin, end] = spans.data.slice(2 * place, 2 * place + 2);
        return { begin, end, number, label: settings.entities[number], score: scores.data[place] };
      });
      const notes = cutNotes(cut, ["The text"]);
      if (!found.length) return { summary: "No entity found", nodes: [element("p", {}, "No entity found."), ...notes] };
      const shown = reading(pieces(bytes, found), ({ number, label }, text) =>
        element("mark", { className: `entity kind-${number % KINDS}` }, text, " ", element("span", { className: "tag" }, label)),
      );
      const count = found.length === 1 ? "1 entity" : `${found.length} entities`;
      return { summary: `${count} found`, nodes: [shown, table(bytes, found), ...notes] };
    },
  };
}

function table(bytes, found) {
  const cells = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, { dir: "auto" }, text)));
  const head = cells("th", ["Text", "Entity", "Score"]);
  for (const cell of head.children) cell.scope = "col";
  const rows = found.map(({ begin, end, label, score }) =>
    cells("td", [slice(bytes, begin, end), label, asPercent(score)]),
  );
  const caption = element("caption", { className: "visually-hidden" }, "Entities");
  return element("table", {}, caption, element("thead", {}, head), element("tbody", {}, ...rows));
}
