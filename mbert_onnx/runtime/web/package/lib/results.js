// Results: what the outputs of a text file, as rows, say of one text; with the names of Python's results.
//
// answersOf and its like have the parameters found, row, texts, record, options: the outputs, the place of the text in them,
// the texts by input, the record of the file, and the options of the method.

import { check, Float32Array, listFrom } from "./checks.js";
import { filled, unitsOf } from "./texts.js";

const nameOf = (names, number) => names[number] ?? `LABEL_${number}`;
const isCut = (counts) => counts.some((count) => count > 0);
/** The rows that belong to a text, where `owners` has the text of each. */
const ownRows = (owners, text) => owners.flatMap(([owner], row) => (owner === text ? row : []));

/** The rows of an output, [rows, …], as lists of numbers. */
export function rowsOf({ dims: [length], data }) {
  const size = data.length / length;
  return listFrom({ length }, (_, row) => listFrom(data.subarray(row * size, row * size + size), Number));
}

/** A function from spans in bytes of a text to {start, end}, in its units, and what is there, under a name. */
function cutter(text, name) {
  const units = unitsOf(text);
  return (span) => {
    const [start, end] = span.map(units);
    return { [name]: text.slice(start, end), start, end };
  };
}

export function answersOf({ spans, scores, cut }, row, { context }) {
  const [count] = cut[row];
  check(count < 1, `the question is ${count} tokens too long for a row; shorten it`);
  const answerAt = cutter(context, "answer");
  const answers = scores[row].map((score, place) => ({
    score,
    ...answerAt(spans[row].slice(2 * place, 2 * place + 2)),
  }));
  return answers.filter((one) => one.score >= 0); // −1 stands where a context has fewer answers than others
}

export function labelsOf({ labels, scores, cut }, row, texts, { labels: names }) {
  const found = labels[row].map((label, place) => ({ label: nameOf(names, label), score: scores[row][place] }));
  return { ...found[0], labels: found, truncated: isCut(cut[row]) };
}

/** The entities of a text; or its tokens that have a label, if they are not grouped. */
export function entitiesOf(found, row, { text }, record, { aggregation }) {
  const isGrouped = aggregation !== "none";
  const [key, labels, prefix] = isGrouped ? ["entity_group", "entities", "entity_"] : ["entity", "labels", ""];
  const cut = cutter(text, "word");
  const spans = ownRows(found[`${prefix}texts`], row).map((one, place) => ({
    [key]: nameOf(record[labels], found[labels][one][0]),
    score: found[`${prefix}scores`][one][0],
    ...(!isGrouped && { index: place + 1 }), // [CLS] has 0
    ...cut(found[`${prefix}spans`][one]),
  }));
  return spans.filter((one) => one.entity !== "O");
}

export function masksOf({ texts, spans, scores, tokens }, row, { text }, { mask_token, continuation }, { words }) {
  const masks = ownRows(texts, row);
  check(masks.length, `the text has no ${mask_token || "[MASK]"}; put one where a token is missing`);
  const units = unitsOf(text);
  return masks.map((one) => {
    const [start, end] = spans[one].map(units);
    const options = tokens[one].map((token, place) => {
      const token_str = words[token] ?? `${token}`;
      const sequence = filled(text, start, end, token_str, continuation || "##");
      return { score: scores[one][place], token, token_str, sequence };
    });
    return { start, end, tokens: options };
  });
}

export function vectorOf({ sentence_embedding }, row, texts, record, { normalize }) {
  const vector = sentence_embedding[row];
  const length = (normalize && Math.hypot(...vector)) || 1;
  return Float32Array.from(vector, (value) => value / length);
}

export function nextSentenceOf({ scores, cut }, row) {
  const [is_next, not_next] = scores[row];
  return { is_next, not_next, truncated: isCut(cut[row]) };
}

export function choicesOf({ scores: [scores], cut }, row, texts, record, options) {
  const choices = options.listed.map((choice, index) => ({ index, choice, score: scores[index] }));
  choices.sort((one, other) => other.score - one.score);
  return { choice: choices[0].choice, choices, truncated: isCut(cut.flat()) };
}
