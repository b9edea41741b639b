// Next sentence prediction: whether the second text follows the first.

import { field } from "../elements.js";
import { feed } from "../feeds.js";
import { asPercent, cutNotes, optionList } from "../options.js";

const NAMES = ["The second text follows the first", "The second text does not follow the first"];

export function create(settings) {
  const boxes = [
    field("First text", "Ada opened the letter and read it twice."),
    field("Second text", "Then she put it back into the envelope."),
  ];
  return {
    purpose: "See whether one text follows another.",
    action: "Compare",
    fields: boxes.map(({ node }) => node),
    inputs: () => boxes.map(({ input }) => input),
    feeds: () => [feed(settings, { text: boxes[0].input.value, pair: boxes[1].input.value })],
    show: ([{ scores, cut }]) => {
      const options = NAMES.map((name, place) => ({ name, score: scores.data[place] }));
      options.sort((a, b) => b.score - a.score);
      return {
        summary: `${options[0].name}: ${asPercent(options[0].score)}`,
        nodes: [optionList(options), ...cutNotes(cut, ["The first text", "The second text"])],
      };
    },
  };
}
