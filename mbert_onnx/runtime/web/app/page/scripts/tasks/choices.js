// Multiple choice: which of several texts goes best with a prompt.

import { field, fields } from "../elements.js";
import { feed } from "../feeds.js";
import { asPercent, cutNotes, optionList } from "../options.js";

const PROMPT = "She put the kettle on the stove and";
const CHOICES = ["waited for the water to boil.", "drove it to the airport.", "painted the ceiling green."];

export function create(settings) {
  const prompt = field("Beginning", PROMPT);
  // A file with a fixed number of choices takes fewer, too.
  const choices = fields("How it may go on", "Choice", CHOICES.slice(0, settings.choices ?? CHOICES.length), 2);
  let texts;
  return {
    purpose: "See which continuation fits best.",
    action: "Choose",
    fields: [prompt.node, choices.node],
    inputs: () => [prompt.input, ...choices.inputs()],
    feeds: () => {
      texts = choices.inputs().map((input) => input.value);
      if (settings.choices && texts.length > settings.choices) {
        throw new Error(`The model takes at most ${settings.choices} choices. Remove some.`);
      }
      return [feed(settings, { text: prompt.input.value, choices: texts })];
    },
    show: ([{ scores, cut }]) => {
      const options = texts.map((name, place) => ({ name, score: scores.data[place] }));
      options.sort((a, b) => b.score - a.score);
      return {
        summary: `Best: “${options[0].name}”, ${asPercent(options[0].score)}`,
        nodes: [optionList(options), ...cutNotes(cut, ["The beginning"])],
      };
    },
  };
}
