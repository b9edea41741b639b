// Runs models of one runtime for a benchmark: node worker.mjs RUNTIME PACKAGE. PACKAGE is the folder of the npm package RUNTIME.
// The module RUNTIME.mjs beside this one has the function prepare(folder), which imports the package: {version, open}.
// open(file, threads) loads a model: {instructionSet, inputs: [{name, type, shape}], outputs: [names], feedOf, run, release}.
//
// Each line of standard input is a request in JSON, answered by a line {"answer"} or {"error"} on standard output:
//
//   {request: "open", file, threads}                       → {number, load_ns, runtime, inputs: [{name, type, shape}], outputs}
//   {request: "run", number, feed}                         → [{type, dims, data}]
//   {request: "hold", number, feed}                        → the index of an input that is to be timed
//   {request: "time", number, index, after_another}        → ns of a run; with after_another, an untimed one comes before it
//   {request: "memory"}                                    → bytes
//
// A tensor is {type, dims, data}, data in base64. "closed" in any request lists the numbers of models that are released first.

import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";

const [runtime, folder] = process.argv.slice(2);
const [major] = process.versions.node.split(".");
// The V8 of Node 20 has relaxed SIMD behind a flag; newer ones have it, and no such flag.
if (Number(major) < 21) setFlagsFromString("--experimental-wasm-relaxed-simd");
process.on("SIGINT", () => {}); // Ctrl-C in a terminal is meant for the parent
console.log = console.error; // what libraries print must not come between the answers

const KINDS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};
const { prepare } = await import(`./${runtime}.mjs`);
const { version, open } = await prepare(folder);
const models = new Map();
const peakBefore = peak();

/** The peak resident size of this process in bytes. */
function peak() {
  // Not maxRSS: on Linux a child inherits its parent's value, which may be far above its own.
  const status = "/proc/self/status";
  const found = existsSync(status) ? /^VmHWM:\s*(\d+) kB/m.exec(readFileSync(status, "utf8")) : null;
  return 1024 * (found ? Number(found[1]) : process.resourceUsage().maxRSS);
}

function decoded(feed) {
  const entries = Object.entries(feed).map(([name, { type, dims, data }]) => {
    const bytes = Uint8Array.from(Buffer.from(data, "base64")); // a copy, which is aligned
    return [name, { type, dims, data: new KINDS[type](bytes.buffer) }];
  });
  return Object.fromEntries(entries);
}

function encoded({ type, dims, data }) {
  return { type, dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
}

const requests = {
  async open({ file, threads }) {
    const begin = process.hrtime.bigint();
    const model = await open(file, threads);
    const load_ns = Number(process.hrtime.bigint() - begin);
    const number = models.size + 1;
    models.set(number, { ...model, held: [] });
    const { inputs, outputs, instructionSet } = model;
    const description = `${runtime} ${version} (${instructionSet}, Node.js ${process.versions.node})`;
    return { number, load_ns, runtime: description, inputs, outputs };
  },

  async run({ number, feed }) {
    const { feedOf, run, outputs } = models.get(number);
    const found = await run(feedOf(decoded(feed)));
    return outputs.map((name) => encoded(found[name]));
  },

  hold({ number, feed }) {
    const { feedOf, held } = models.get(number);
    return held.push(feedOf(decoded(feed))) - 1;
  },

  async time({ number, index, after_another }) {
    const { run, held } = models.get(number);
    if (after_another) await run(held[index]);
    const begin = process.hrtime.bigint();
    await run(held[index]);
    return Number(process.hrtime.bigint() - begin);
  },

  memory: () => peak() - peakBefore,
};

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    const { request, closed, ...given } = JSON.parse(line);
    for (const number of closed) {
      await models.get(number).release();
      models.set(number, undefined); // its number is not used again
    }
    reply = { answer: await requests[request](given) };
  } catch (error) {
    reply = { error: error?.message ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
process.exit(0); // a runtime's threads keep the process alive
