// Feature extraction: how similar sentences are to one of them.

import { field, fields } from "../elements.js";
import { feed } from "../feeds.js";
import { asNumber, cutNotes, optionList } from "../options.js";

const SENTENCE = "The concert was wonderful.";
const OTHERS = ["What a great evening of music!", "The trains are late again.", "The band played two hours."];

export function create(settings) {
  const first = field("Sentence", SENTENCE, 1);
  const others = fields("Compare it with", "Comparison", OTHERS, 1);
  const inputs = () => [first.input, ...others.inputs()];
  let texts;
  return {
    purpose: "See how similar sentences are, by the cosine of their embeddings: 1 is the same.",
    action: "Compare",
    fields: [first.node, others.node],
    inputs,
    feeds: () => {
      texts = inputs().map((input) => input.value);
      return texts.map((text) => feed(settings, { text }));
    },
    show: (outputs) => {
      const [vector, ...vectors] = outputs.map((output) => output.sentence_embedding.data);
      const options = vectors.map((other, place) => ({ name: texts[place + 1], score: cosine(vector, other) }));
      options.sort((a, b) => b.score - a.score);
      const notes = outputs.flatMap(({ cut }, place) => cutNotes(cut, [`“${texts[place]}”`]));
      return {
        summary: `Most similar: “${options[0].name}”, ${asNumber(options[0].score)}`,
        nodes: [optionList(options, { format: asNumber }), ...notes],
      };
    },
  };
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, place) => sum + value * y[place], 0);
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
}
