// Fill-mask: words for each mask, and the text with the chosen ones.

import { download } from "../download.js";
import { element, field, reading } from "../elements.js";
import { feed } from "../feeds.js";
import { asPercent, cutNotes, optionList } from "../options.js";
import { encode, slice } from "../utf8.js";

/** Reads vocab.txt: the token of line n has the id n − 1. */
async function readVocabulary(settings) {
  const bytes = await download(settings, settings.vocabulary, () => {});
  return slice(bytes, 0, bytes.length).split("\n");
}

export async function create(settings) {
  const { mask, continuation } = settings;
  const vocabulary = await readVocabulary(settings);
  const box = field(`Text with ${mask} where a word is missing`, `The weather in the mountains was ${mask} today.`);
  const insert = element("button", { type: "button" }, `Insert ${mask}`);
  insert.onclick = () => {
    box.input.setRangeText(mask, box.input.selectionStart, box.input.selectionEnd, "end");
    box.input.focus();
  };
  box.node.append(element("p", { className: "below" }, insert));
  let bytes;
  return {
    purpose: "Find words for a gap in a text.",
    action: "Fill in",
    fields: [box.node],
    inputs: () => [box.input],
    feeds: () => {
      bytes = encode(box.input.value);
      return [feed(settings, { text: box.input.value })];
    },
    show: ([{ tokens, scores, spans, cut }]) => {
      const [count, k] = tokens.dims;
      const notes = cutNotes(cut, ["The text"]);
      if (!count) {
        const missing = `The text has no ${mask}`;
        return { summary: missing, nodes: [element("p", {}, `${missing}. Put one where a word is missing.`), ...notes] };
      }
      const masks = Array.from({ length: count }, (_, place) => ({
        begin: spans.data[2 * place],
        end: spans.data[2 * place + 1],
        options: tokens.data.slice(place * k, (place + 1) * k).map((token, option) => ({
          name: vocabulary[token],
          score: scores.data[place * k + option],
        })),
        chosen: 0,
      }));
      const text = element("div");
      const draw = () => text.replaceChildren(filled(bytes, masks, continuation));
      draw();
      const lists = masks.flatMap((one, place) => {
        const onSelect = (option) => {
          one.chosen = option;
          draw();
        };
        const title = count === 1 ? [] : [element("h3", {}, `Mask ${place + 1} of ${count}`)];
        return [...title, optionList(one.options, { onSelect })];
      });
      const best = masks.map(({ options }) => `“${options[0].name}”, ${asPercent(options[0].score)}`);
      return { summary: `Best: ${best.join("; ")}`, nodes: [text, ...lists, ...notes] };
    },
  };
}

/** The text with the chosen words; a token that continues a word, such as ##s, is joined to what is before it. */
function filled(bytes, masks, continuation) {
  const parts = [];
  let place = 0;
  for (const { begin, end, options, chosen } of masks) {
    const token = options[chosen].name;
    const joins = continuation && token.startsWith(continuation);
    const before = slice(bytes, place, begin);
    parts.push({ text: joins ? before.trimEnd() : before, span: null });
    parts.push({ text: joins ? token.slice(continuation.length) : token, span: { begin, end } });
    place = end;
  }
  parts.push({ text: slice(bytes, place, bytes.length), span: null });
  return reading(parts, (_, text) => element("mark", {}, text));
}
