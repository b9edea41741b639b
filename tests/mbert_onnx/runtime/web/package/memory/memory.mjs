// Memory of models in Node: which of it the engine collects after `dispose`, and what calls leave behind.
//
// node --expose-gc memory.mjs LIBRARY MODEL LOADS ROUNDS: prints {made, collected, threads, disposed, before, after}. MODEL answers
// questions. Each round has 8 calls.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";

const [library, path, loads, rounds] = process.argv.slice(2);
const { load } = await import(library);
const file = await readFile(path);
const QUESTION = "who wrote it ?";
const CONTEXTS = ["ada wrote the first program .", "grace found a moth 👩 in the machine . ".repeat(4), "漢"];

let threads = 0;
globalThis.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    threads++;
    this.once("exit", () => threads--);
  }
};
// Counts of the memories of models, without references that keep them.
const memories = { made: 0, collected: 0 };
const registry = new FinalizationRegistry(() => memories.collected++);
let last;
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (module, imports) => {
  const instance = await instantiate(module, imports);
  if (!instance.exports.mbert_allocate) return instance; // Node has one of its own, the parser of HTTP
  const memory = imports.env.memory ?? instance.exports.memory;
  memories.made++;
  registry.register(memory);
  last = new WeakRef(memory);
  return instance;
};

/** Has the engine collect what it can, which may take several turns, until `left` of `made` memories are there. */
async function collect(made, left) {
  for (let turn = 0; turn < 100; turn++) {
    await setTimeout(10);
    gc();
    if (memories.made === made && made - memories.collected <= left && !threads) break;
  }
}

const disposed = []; // a caller may keep them
async function use(options) {
  const model = await load(file, options);
  await model.answer(QUESTION, CONTEXTS[0]);
  model.dispose();
  disposed.push(model);
}

for (let turn = 0; turn < loads; turn++) await use();
await use({ threads: 2 });
await assert.rejects(load(file.subarray(0, 1000)));
const controller = new AbortController();
const aborted = load(file, { signal: controller.signal });
controller.abort();
await assert.rejects(aborted);
await collect(disposed.length + 2, 0);
const found = { ...memories, threads };

const model = await load(file);
async function round() {
  for (const context of CONTEXTS) await model.answer(QUESTION, context);
  await model.answer(QUESTION, CONTEXTS);
  await model.answer(QUESTION, CONTEXTS.toReversed());
  await assert.rejects(model.answer(QUESTION, " "));
  await assert.rejects(model.run({ text: { dims: [1, 1, 1], data: [1] } }));
  await assert.rejects(model.run({ unknown: { dims: [1], data: [1] } }));
}

/** Bytes: what the model has allocated, its WebAssembly memory, the heap of JavaScript and the buffers outside of it. */
async function bytes() {
  await collect(disposed.length + 3, 1);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { model: model.memory, memory: last.deref().buffer.byteLength, heap: heapUsed, buffers: arrayBuffers };
}

for (let turn = 0; turn < 20; turn++) await round();
const before = await bytes();
for (let turn = 0; turn < rounds; turn++) await round();
console.log(JSON.stringify({ ...found, disposed: disposed.length, before, after: await bytes() }));
