// Times a text file beside the same model on token ids, in onnxruntime-web (WebAssembly, one thread). text_in_web.py
// starts it, with JSON on standard input: {"model", "text_model", "texts", "ids", "max_length", "loads", "rounds"}.
// Prints JSON: seconds of each load, milliseconds of each run, and the answers of the text file. With "first", "ids" or
// "text": only the seconds that loading this file takes as the first one, while WebAssembly is compiled.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { text as readAll } from "node:stream/consumers";

const ort = createRequire(new URL("../../../examples/web/", import.meta.url))("onnxruntime-web");
ort.env.wasm.numThreads = 1;
const given = JSON.parse(await readAll(process.stdin));
const files = { ids: await readFile(given.model), text: await readFile(given.text_model) };

const long = (numbers, sizes) => new ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), sizes);
const cases = given.texts.map((text, number) => {
  const ids = given.ids[number];
  const sizes = [1, ids.length];
  const bytes = new TextEncoder().encode(text);
  return {
    ids: {
      input_ids: long(ids, sizes),
      attention_mask: long(ids.map(() => 1), sizes),
      token_type_ids: long(ids.map(() => 0), sizes),
    },
    text: { text: new ort.Tensor("uint8", bytes, [bytes.length]), max_length: long([given.max_length], [1]) },
  };
});

const load = (kind) => ort.InferenceSession.create(new Uint8Array(files[kind]), { logSeverityLevel: 3 });
// The order changes from round to round, so that neither file always runs behind the other.
const order = (round) => (round % 2 ? ["text", "ids"] : ["ids", "text"]);

const first = performance.now();
await (await load(given.first ?? "ids")).release(); // compiles WebAssembly
if (given.first) {
  console.log(JSON.stringify((performance.now() - first) / 1000));
  process.exit(0);
}
const loads = { ids: [], text: [] };
for (let round = 0; round < given.loads; round++) {
  for (const kind of order(round)) {
    const begin = performance.now();
    const session = await load(kind);
    loads[kind].push((performance.now() - begin) / 1000);
    await session.release();
  }
}

const sessions = { ids: await load("ids"), text: await load("text") };
const answers = [];
for (const one of cases) {
  await sessions.ids.run(one.ids);
  const found = await sessions.text.run(one.text);
  answers.push(Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, Array.from(data, Number)])));
}
const runs = cases.map(() => ({ ids: [], text: [] }));
for (let round = 0; round < given.rounds; round++) {
  for (const [number, one] of cases.entries()) {
    for (const kind of order(round)) {
      const begin = performance.now();
      await sessions[kind].run(one[kind]);
      runs[number][kind].push(performance.now() - begin);
    }
  }
}
console.log(JSON.stringify({ loads, runs, answers }));
process.exit(0); // the runtime's threads keep the process alive
