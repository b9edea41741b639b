// Calls methods of models in Node, and prints the results as JSON.
//
// node ask.mjs < {"package": the path of index.js, "model": a path, "options": of load, "calls": [[method, ...arguments]]}

import { text } from "node:stream/consumers";

const { package: path, model: file, options, calls } = JSON.parse(await text(process.stdin));
const { load } = await import(path);
const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value, Number) : value);

const model = await load(file, options);
const results = [];
const warnings = [];
console.warn = (warning) => warnings.push(warning);
for (const [method, ...given] of calls) {
  results.push(
    await model[method](...given).then(
      (result) => ({ result }),
      ({ name, message }) => ({ error: `${name}: ${message}` }),
    ),
  );
}
const { task, labels, info } = model;
model.dispose();
console.log(JSON.stringify({ task, labels, info, memory: model.memory, results, warnings }, plain));
globalThis.Deno?.exit(); // it waits for workers, even terminated ones
