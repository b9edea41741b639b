// Text classification: labels with bars.

import { field } from "../elements.js";
import { feed } from "../feeds.js";
import { asNumber, asPercent, cutNotes, longList } from "../options.js";

const TEXT = "A warm, funny and deeply moving film, with a cast that could not be better.";
const PAIR = ["A man is playing a guitar on the street.", "Someone is making music."];

export function create(settings) {
  const isPair = settings.pair;
  const boxes = isPair ? [field("First text", PAIR[0]), field("Second text", PAIR[1])] : [field("Text", TEXT)];
  const isRegression = settings.is_regression;
  const format = isRegression ? asNumber : asPercent;
  return {
    purpose: isPair ? "See which label fits two texts." : "See which label fits a text.",
    action: "Classify",
    fields: boxes.map(({ node }) => node),
    inputs: () => boxes.map(({ input }) => input),
    feeds: () => {
      const [text, pair] = boxes.map(({ input }) => input.value);
      return [feed(settings, isPair ? { text, pair } : { text })];
    },
    show: ([{ labels, scores, cut }]) => {
      const options = scores.data.map((score, place) => ({
        name: settings.labels[labels.data[place]],
        score,
        share: isRegression ? null : score,
      }));
      const names = isPair ? ["The first text", "The second text"] : ["The text"];
      return {
        summary: `${options[0].name}: ${format(options[0].score)}`,
        nodes: [...longList(options, { format }), ...cutNotes(cut, names)],
      };
    },
  };
}
