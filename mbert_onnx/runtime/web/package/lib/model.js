// Model: a loaded file, and the methods of its task.

import { check, checkCount, checkText, objectOf } from "./checks.js";
import { METHODS, recordOf } from "./record.js";
import * as results from "./results.js";
import { sizeOf } from "./session.js";
import { encodeAll } from "./texts.js";
import { readVocabulary } from "./vocabulary.js";

// The texts of one run, which share the reading of the weights. Their rows take memory.
const BATCH = 8;
// The names of options that are inputs, and the inputs of other names.
const INPUTS = { max_seq_len: "max_length", max_answer_len: "longest_answer" };
const SPLITS = { text: "row_splits", pair: "pair_splits", context: "context_splits" };

const vector = (data) => ({ dims: [data.length], data });

/** The model of a session; index.d.ts describes it. file: as `open` returns it. vocabulary: of the caller, if any. */
export function modelOf(session, { url, cached = false }, vocabulary) {
  const { inputs, outputs, metadata, info, dispose } = session;
  const { task = null } = metadata;
  const record = recordOf(metadata);

  async function run(given, { signal } = {}) {
    signal?.throwIfAborted();
    return session.run(given);
  }

  /**
   * Runs the file on texts, several at once.
   *
   * texts: strings or lists of strings by input; a string beside a list stands for each of the list. numbers: other
   * inputs, by option. resultOf(outputs as rows, row, texts): the result of one text. Returns a list of results if there
   * is a list of texts.
   */
  async function each(texts, numbers, { signal, stride, max_seq_len, batch = BATCH } = {}, resultOf) {
    const given = { max_seq_len: max_seq_len ?? record.max_length ?? record.limit, stride, ...numbers };
    const others = {};
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined) continue;
      if (!Array.isArray(value)) checkCount(name, value, name === "stride" ? 0 : 1);
      others[INPUTS[name] ?? name] = vector([].concat(value));
    }
    const names = Object.keys(texts);
    const lists = Object.values(texts).filter(Array.isArray);
    const textOf = (name, row) => (lists.includes(texts[name]) ? texts[name][row] : texts[name]);
    const rowOf = (_, row) => objectOf(names, (name) => [name, checkText(name, textOf(name, row))]);
    const rows = Array.from({ length: lists.length ? Math.max(...lists.map(({ length }) => length)) : 1 }, rowOf);
    const size = inputs.some(({ name }) => name === "row_splits") ? batch : 1;
    const found = [];
    while (found.length < rows.length) {
      if (found.length) await new Promise((resolve) => setTimeout(resolve)); // for the page's other work
      const part = rows.slice(found.length, found.length + size);
      const feeds = { ...others };
      for (const name of names) {
        const { bytes, splits } = encodeAll(part.map((row) => row[name]));
        feeds[name] = vector(bytes);
        if (part.length > 1) feeds[SPLITS[name]] = vector(splits);
      }
      const tensors = Object.entries(await run(feeds, { signal }));
      const asRows = objectOf(tensors, ([name, output]) => [name, results.rowsOf(output)]);
      part.forEach((row, place) => found.push(resultOf(asRows, place, row)));
    }
    return lists.length ? found : found[0];
  }

  const methods = {
    logits(given, options) {
      const { dims, data } = tensorOf("input_ids", given.input_ids);
      const defaultOf = (name) => ({ dims, data: data.map(() => (name === "attention_mask" ? 1 : 0)) });
      const tensorsOf = ({ name }) => [name, given[name] ? tensorOf(name, given[name]) : defaultOf(name)];
      return run(objectOf(inputs, tensorsOf), options);
    },

    answer(question, context, options = {}) {
      const { top_k = 1, max_answer_len = 15, handle_impossible_answer: hasNone } = options;
      const given = { top_k, max_answer_len, allow_no_answer: [hasNone ? 1 : 0] };
      return each({ text: question, context }, given, options, (found, row, texts) => {
        const [count] = found.cut[row];
        check(count < 1, `the question is ${count} tokens too long for a row; shorten it`);
        return results.answersOf(found, row, texts);
      });
    },

    classify(text, options = {}) {
      const { pair, top_k } = options;
      const isPair = record.pair;
      check(isPair || pair === undefined, "the model takes no `pair`; export it with --text-pair", TypeError);
      const texts = isPair ? { text, pair } : { text };
      return each(texts, { top_k }, options, (found, row) => results.labelsOf(found, row, record.labels));
    },

    tag(text, options = {}) {
      const { aggregation = "simple" } = options;
      const isSimple = aggregation === "simple";
      check(isSimple || aggregation === "none", `aggregation is ${aggregation}; expected simple or none`);
      return each({ text }, {}, options, (found, row, texts) =>
        results.entitiesOf(found, row, texts, record, isSimple),
      );
    },

    async fill(text, options = {}) {
      const { top_k = 5 } = options;
      vocabulary = await readVocabulary(vocabulary, url, record.vocabulary_sha256);
      const resultOf = (found, row, texts) => results.masksOf(found, row, texts, record, vocabulary);
      return each({ text }, { top_k }, options, resultOf);
    },

    embed(text, options = {}) {
      // Where padding changes the answers of a model, no text may change the vector of another.
      return each({ text }, {}, { batch: 1, ...options }, (found, row) =>
        results.vectorOf(found, row, options.normalize),
      );
    },

    nextSentence(text, pair, options) {
      return each({ text, pair }, {}, options, results.nextSentenceOf);
    },

    choose(prompt, choices, options) {
      check(Array.isArray(choices) && choices.length > 1, "choices is no list of 2 or more texts", TypeError);
      choices.forEach((choice) => checkText("a choice", choice));
      const { bytes, splits } = encodeAll(choices);
      const given = { choices: [...bytes], choice_splits: splits };
      return each({ text: prompt }, given, options, (found) => results.choicesOf(found, choices));
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
    ...objectOf(Object.entries(methods), checked),
  };
}

/** A tensor, {dims, data}, of nested lists of numbers, or of something that is one. */
function tensorOf(name, value) {
  if (value?.dims) return value;
  const dims = [];
  for (let part = value; Array.isArray(part); part = part[0]) dims.push(part.length);
  const data = [value].flat(Infinity);
  check(
    dims.length && data.length === sizeOf(dims),
    `${name} is no tensor; expected lists of one length or {dims, data}`,
    TypeError,
  );
  return { dims, data };
}
