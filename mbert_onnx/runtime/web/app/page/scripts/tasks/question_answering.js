// Question answering: the answers, and the chosen one highlighted in the context.

import { element, field, reading } from "../elements.js";
import { feed } from "../feeds.js";
import { asPercent, cutNotes, optionList } from "../options.js";
import { encode, pieces, slice } from "../utf8.js";

const QUESTION = "Who wrote the first program?";
const CONTEXT =
  "The Analytical Engine was a mechanical computer that Charles Babbage designed in 1837. Ada Lovelace translated an " +
  "article about it in 1843, and added notes of her own. One of them describes how the engine would compute Bernoulli " +
  "numbers; it is often called the first program.";

export function create(settings) {
  const question = field("Question", QUESTION, 1);
  const context = field("Text that holds the answer", CONTEXT, "tall");
  let bytes;
  return {
    purpose: "Ask a question; the answer is a part of the text.",
    action: "Answer",
    fields: [question.node, context.node],
    inputs: () => [question.input, context.input],
    feeds: () => {
      bytes = encode(context.input.value);
      return [feed(settings, { text: question.input.value, context: context.input.value })];
    },
    show: ([{ spans, scores, no_answer: none, cut }]) => {
      const answers = scores.data
        .map((score, place) => ({ score, begin: spans.data[2 * place], end: spans.data[2 * place + 1] }))
        .filter(({ score, begin, end }) => score >= 0 && end > begin)
        .map((answer) => ({ ...answer, name: slice(bytes, answer.begin, answer.end) }));
      const notes = cutNotes(cut, ["The question", "The context"]);
      const doubt = `That the context has no answer is more probable: ${asPercent(none.data[0])}.`;
      if (none.data[0] > (answers[0]?.score ?? 0)) notes.unshift(element("p", { className: "note" }, doubt));
      if (!answers.length) return { summary: "No answer found", nodes: notes };
      const text = element("div");
      const highlight = (place) => {
        text.replaceChildren(reading(pieces(bytes, [answers[place]]), (_, part) => element("mark", {}, part)));
      };
      const onSelect = (place) => {
        highlight(place);
        text.querySelector("mark").scrollIntoView({ block: "nearest" });
      };
      highlight(0);
      const list = optionList(answers, { onSelect });
      return {
        summary: `Answer: “${answers[0].name}”, ${asPercent(answers[0].score)}`,
        nodes: [text, list, ...notes],
      };
    },
  };
}
