// Model: a loaded file, and the methods of its task.

import {
  abortable,
  check,
  checkCount,
  checkText,
  entries,
  Error,
  isArray,
  listFrom,
  objectOf,
  parse,
  Promise,
  TypeError,
} from "./checks.js";
import { METHODS } from "./methods.js";
import * as results from "./results.js";
import { portOf } from "./session.js";
import { encode, encodeAll } from "./texts.js";
import { readVocabulary } from "./vocabulary.js";

// The texts of one run, which share the reading of the weights. Their rows take memory.
const BATCH = 8;
// The inputs of options that are numbers.
const INPUTS = { max_seq_len: "max_length", max_answer_len: "longest_answer", top_k: "top_k", stride: "stride" };

// A number that is larger means all, too.
const MOST = 1e9;

const vector = (data) => ({ dims: [data.length], data });

/** The model of a session, which becomes it; index.d.ts describes it. file: as `open` returns it. options: of `load`. */
export function modelOf(session, { address }, { vocabulary, cache }) {
  const { inputs, metadata, run } = session;
  const { task = null, text: settings, labels = "[]", entities = "[]" } = metadata;
  // The record of a text file: its names and limits.
  const record = settings && { ...parse(settings), labels: parse(labels), entities: parse(entities) };
  const { limit, max_length: longest = limit } = record ?? {};

  let tokens; // a promise, from the first `fill` on

  /**
   * Runs the file on texts, several at once.
   *
   * texts: strings or lists of strings by argument, of which the first is the input `text`, and the others are inputs of their names; a string beside a list stands for each of the list. options: of the
   * caller. resultOf: of results.js. defaults: of options. others: more inputs.
   * Returns a list of results if there is a list of texts.
   */
  async function each(texts, options = {}, resultOf, defaults, others = {}) {
    const batch = options.batch ?? BATCH;
    checkCount("batch", batch);
    for (const [name, input] of entries(INPUTS)) {
      const value = options[name] ?? { max_seq_len: longest, ...defaults }[name];
      if (value == null) continue;
      check(portOf(inputs, input), `the model takes no ${name}; leave it out`);
      checkCount(name, value, ...(name === "stride" ? [0, limit - 1] : []));
      others[input] = vector([Math.min(value, MOST)]);
    }
    const given = entries(texts);
    const lists = Object.values(texts).filter(isArray);
    const [list] = lists;
    check(
      lists.every((one) => one.length === list.length),
      "the lists differ in length",
    );
    const rowOf = (_, row) => objectOf(given, ([name, one]) => [name, checkText(name, isArray(one) ? one[row] : one)]);
    const rows = (list ?? [0]).map(rowOf);
    const size = portOf(inputs, "row_splits") ? batch : 1;
    const found = [];
    while (found.length < rows.length) {
      if (found.length) await new Promise((resolve) => setTimeout(resolve)); // for the page's other work
      const part = rows.slice(found.length, found.length + size);
      const feeds = { ...others };
      given.forEach(([name], place) => {
        const { bytes, splits } = encodeAll(part.map((row) => row[name]));
        feeds[place ? name : "text"] = vector(bytes);
        if (part.length > 1) feeds[`${place ? name : "row"}_splits`] = vector(splits);
      });
      const tensors = entries(await run(feeds, options));
      const asRows = objectOf(tensors, ([name, output]) => [name, results.rowsOf(output)]);
      part.forEach((row, place) => {
        const result = resultOf(asRows, place, row, record, options);
        const count = asRows.cut?.[place].at(-1);
        // A file of fixed length cuts what others read in windows. Results that are no list say so themselves.
        if (count > 0 && isArray(result)) console.warn(`${count} tokens cut: a row has ${limit} at most`);
        found.push(result);
      });
    }
    return list ? found : found[0];
  }

  const methods = {
    logits(given = {}, options) {
      const { dims, data } = tensorOf("input_ids", given.input_ids);
      const defaultOf = (name) => ({ dims, data: listFrom(data, () => name === "attention_mask") });
      const tensorsOf = ({ name }) => [name, given[name] ? tensorOf(name, given[name]) : defaultOf(name)];
      return run({ ...given, ...objectOf(inputs, tensorsOf) }, options);
    },

    async answer(question, context, options = {}) {
      const defaults = { top_k: 1, max_answer_len: 15 };
      const others = { allow_no_answer: vector([Boolean(options.handle_impossible_answer)]) };
      // A question that fills its row leaves a window for each token of the context: it is refused without.
      for (const text of [].concat(question))
        if (2 * encode(text).length > (options.max_seq_len ?? longest))
          await each({ question: text, context: "." }, options, results.answersOf, defaults, others);
      return each({ question, context }, options, results.answersOf, defaults, others);
    },

    classify(text, options = {}) {
      const { pair } = options;
      const isPair = record.pair;
      check(isPair || pair == null, "the model takes no `pair`; export it with --text-pair", TypeError);
      const texts = isPair ? { text, pair } : { text };
      return each(texts, options, results.labelsOf);
    },

    tag(text, options = {}) {
      const { aggregation = "simple" } = options;
      check(/^(simple|none)$/.test(aggregation), `aggregation is ${aggregation}; expected simple or none`);
      return each({ text }, options, results.entitiesOf);
    },

    async fill(text, options = {}) {
      // Without the signal, because other calls wait for it, too.
      tokens ??= readVocabulary(vocabulary, address, record.vocabulary_sha256, { cache }).catch((error) => {
        tokens = null; // the next call tries again
        throw error;
      });
      const found = await abortable(() => tokens, options.signal);
      return each({ text }, { ...options, words: found }, results.masksOf, { top_k: 5 });
    },

    embed(text, options) {
      // Where padding changes the answers of a model, no text may change the vector of another.
      return each({ text }, { batch: 1, ...options }, results.vectorOf);
    },

    nextSentence(text, pair, options) {
      return each({ text, pair }, options, results.nextSentenceOf);
    },

    choose(prompt, choices, options) {
      const most = record.choices;
      const isRight = isArray(choices) && choices.length > 1 && !(most && choices.length > most);
      check(isRight, `pass a list of 2 ${most ? `to ${most}` : "or more"} choices`, TypeError);
      choices.forEach((choice) => checkText("a choice", choice));
      const { bytes, splits } = encodeAll(choices);
      const others = { choices: vector(bytes), choice_splits: vector(splits) };
      return each({ prompt }, { ...options, listed: choices }, results.choicesOf, null, others);
    },
  };
  const own = METHODS[record ? task : null];
  const checked = ([name, method]) => [
    name,
    async (...given) => {
      const found = record ? `does ${task}` : "takes token ids (export it with --text)";
      check(name === own, `\`${name}\` is not for this model, which ${found}; call \`${own}\``, Error);
      return method(...given);
    },
  ];

  return Object.assign(session, { task, labels: record?.labels ?? [] }, objectOf(entries(methods), checked));
}

/** A tensor, {dims, data}, of nested lists of numbers, or of something that is one. */
function tensorOf(name, value) {
  if (value?.dims) return value;
  const dims = [value?.length];
  let isRight = isArray(value),
    data = value;
  while (isArray(data?.[0])) {
    const [{ length }] = data;
    isRight &&= data.every((one) => one.length === length);
    dims.push(length);
    data = data.flat();
  }
  check(isRight && data.length, `${name} is no tensor; expected lists of one length or {dims, data}`, TypeError);
  return { dims, data };
}
