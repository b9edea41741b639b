// Model: a loaded file, and the methods of its task.

import { check, checkCount, checkText, entries, isArray, listFrom, objectOf } from "./checks.js";
import { METHODS, recordOf } from "./record.js";
import * as results from "./results.js";
import { encode, encodeAll } from "./texts.js";
import { readVocabulary } from "./vocabulary.js";

// The texts of one run, which share the reading of the weights. Their rows take memory.
const BATCH = 8;
// The inputs of options that are numbers.
const INPUTS = { max_seq_len: "max_length", max_answer_len: "longest_answer", top_k: "top_k", stride: "stride" };

const vector = (data) => ({ dims: [data.length], data });

/** The model of a session; index.d.ts describes it. file: as `open` returns it. options: of `load`. */
export function modelOf(session, { url, cached = false }, { vocabulary, cache }) {
  const { inputs, outputs, metadata, info, dispose } = session;
  const { task = null } = metadata;
  const record = recordOf(metadata);
  const { limit, max_length: longest = limit } = record ?? {};

  async function run(given, { signal } = {}) {
    signal?.throwIfAborted();
    return session.run(given);
  }

  /**
   * Runs the file on texts, several at once.
   *
   * texts: strings or lists of strings by input; a string beside a list stands for each of the list. options: of the
   * caller. resultOf(outputs as rows, row, texts): the result of one text. defaults: of options. others: more inputs.
   * Returns a list of results if there is a list of texts.
   */
  async function each(texts, options = {}, resultOf, defaults, others = {}) {
    const { signal, batch = BATCH } = options;
    checkCount("batch", batch);
    for (const [name, input] of entries(INPUTS)) {
      const value = options[name] ?? { max_seq_len: longest, ...defaults }[name];
      if (value === undefined) continue;
      checkCount(name, value, name === "stride" ? 0 : 1);
      others[input] = vector([value]);
    }
    const given = entries(texts);
    const [list] = Object.values(texts)
      .filter(isArray)
      .sort((one, other) => other.length - one.length);
    const rowOf = (_, row) => objectOf(given, ([name, one]) => [name, checkText(name, isArray(one) ? one[row] : one)]);
    const rows = (list ?? [0]).map(rowOf);
    const size = inputs.some(({ name }) => name === "row_splits") ? batch : 1;
    const found = [];
    while (found.length < rows.length) {
      if (found.length) await new Promise((resolve) => setTimeout(resolve)); // for the page's other work
      const part = rows.slice(found.length, found.length + size);
      const feeds = { ...others };
      for (const [name] of given) {
        const { bytes, splits } = encodeAll(part.map((row) => row[name]));
        feeds[name] = vector(bytes);
        if (part.length > 1) feeds[`${name === "text" ? "row" : name}_splits`] = vector(splits);
      }
      const tensors = entries(await run(feeds, { signal }));
      const asRows = objectOf(tensors, ([name, output]) => [name, results.rowsOf(output)]);
      part.forEach((row, place) => {
        const result = resultOf(asRows, place, row);
        const count = asRows.cut?.[place].at(-1);
        // A file of fixed length cuts what others read in windows. Results that are no list say so themselves.
        if (count > 0 && isArray(result)) console.warn(`${count} tokens were not read: a row has ${limit} at most`);
        found.push(result);
      });
    }
    return list ? found : found[0];
  }

  const methods = {
    logits(given, options) {
      const { dims, data } = tensorOf("input_ids", given.input_ids);
      const defaultOf = (name) => ({ dims, data: listFrom(data, () => (name === "attention_mask" ? 1 : 0)) });
      const tensorsOf = ({ name }) => [name, given[name] ? tensorOf(name, given[name]) : defaultOf(name)];
      return run(objectOf(inputs, tensorsOf), options);
    },

    async answer(question, context, options = {}) {
      const defaults = { top_k: 1, max_answer_len: 15 };
      const others = { allow_no_answer: vector([Boolean(options.handle_impossible_answer)]) };
      const resultOf = (found, row, texts) => {
        const [count] = found.cut[row];
        check(count < 1, `the question is ${count} tokens too long for a row; shorten it`);
        return results.answersOf(found, row, texts);
      };
      // A question that fills its row leaves a window for each token of the context: it is refused without.
      for (const text of [].concat(question))
        if (2 * encode(text).length > (options.max_seq_len ?? longest))
          await each({ text, context: "." }, options, resultOf, defaults, others);
      return each({ text: question, context }, options, resultOf, defaults, others);
    },

    classify(text, options = {}) {
      const { pair } = options;
      const isPair = record.pair;
      check(isPair || pair === undefined, "the model takes no `pair`; export it with --text-pair", TypeError);
      const texts = isPair ? { text, pair } : { text };
      return each(texts, options, (found, row) => results.labelsOf(found, row, record.labels));
    },

    tag(text, options = {}) {
      const { aggregation = "simple" } = options;
      const isSimple = aggregation === "simple";
      check(isSimple || aggregation === "none", `aggregation is ${aggregation}; expected simple or none`);
      return each({ text }, options, (found, row, texts) => results.entitiesOf(found, row, texts, record, isSimple));
    },

    async fill(text, options = {}) {
      vocabulary = await readVocabulary(vocabulary, url, record.vocabulary_sha256, { cache, ...options });
      const resultOf = (found, row, texts) => results.masksOf(found, row, texts, record, vocabulary);
      return each({ text }, options, resultOf, { top_k: 5 });
    },

    embed(text, options = {}) {
      // Where padding changes the answers of a model, no text may change the vector of another.
      return each({ text }, { batch: 1, ...options }, (found, row) => results.vectorOf(found, row, options.normalize));
    },

    nextSentence(text, pair, options) {
      return each({ text, pair }, options, results.nextSentenceOf);
    },

    choose(prompt, choices, options) {
      check(isArray(choices) && choices.length > 1, "choices is no list of 2 or more texts", TypeError);
      const most = record.choices ?? Infinity;
      check(choices.length <= most, `there are ${choices.length} choices; the model takes ${most}`);
      choices.forEach((choice) => checkText("a choice", choice));
      const { bytes, splits } = encodeAll(choices);
      const others = { choices: vector(bytes), choice_splits: vector(splits) };
      return each({ text: prompt }, options, (found) => results.choicesOf(found, choices), null, others);
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

  return {
    task,
    labels: record?.labels ?? [],
    inputs,
    outputs,
    info: { ...info, cached },
    get memory() {
      return session.memory();
    },
    dispose,
    run,
    ...objectOf(entries(methods), checked),
  };
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
  check(isRight, `${name} is no tensor; expected lists of one length or {dims, data}`, TypeError);
  return { dims, data };
}
