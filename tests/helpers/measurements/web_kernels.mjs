// The standalone runtime against onnxruntime-web, one thread, in turns, in one process:
// node web_kernels.mjs WASM_FOLDER MODEL ONNXRUNTIME_WEB SECONDS [TOKENS…]
// Prints the least time of a run of the whole model, which other work on the machine disturbs least, and how many times
// as fast as onnxruntime-web that is, beside the targets. Relaxed SIMD needs an engine and a processor with a dot product
// of bytes: on x86-64, Node.js 22 or newer and AVX-VNNI.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { inOnnxruntimeWeb, inStandaloneRuntime } from "./web_models.mjs";

const TARGETS = { relaxed: { 8: 4.0, 32: 2.4, 128: 2.2, 384: 2.0 }, fixed: { 8: 2.0, 32: 1.2, 128: 1.0, 384: 1.0 } };
const FILES = { relaxed: "mbert-relaxed.wasm", fixed: "mbert.wasm" };
// Runs of one model before it is the other's turn.
const RUNS_IN_TURN = 4;

const [folder, model, web, seconds, ...tokens] = process.argv.slice(2);
const theirs = await inOnnxruntimeWeb(web, model);
const version = JSON.parse(readFileSync(`${web}/package.json`, "utf8")).version;
const runtimes = {};
for (const [kind, file] of Object.entries(FILES)) runtimes[kind] = await inStandaloneRuntime(`${folder}/${file}`, model);

console.log(`${cpus()[0].model}, V8 ${process.versions.v8}, onnxruntime-web ${version}, one thread`);
console.log("tokens  runtime          instruction set         least time  times as fast  target");
const print = (length, name, isa, least, ratio = "", target = "") =>
  console.log(
    `${String(length).padStart(6)}  ${name.padEnd(15)}  ${isa.padEnd(21)}  ${least.toFixed(2).padStart(8)} ms` +
      `  ${ratio.padStart(13)}  ${target.padStart(6)}`,
  );
for (const length of (tokens.length ? tokens : [8, 32, 128, 384]).map(Number)) {
  const rows = [{ kind: "onnxruntime-web", isa: "", run: theirs.prepared(length) }];
  for (const [kind, { instructionSet, prepared }] of Object.entries(runtimes))
    rows.push({ kind, isa: instructionSet, run: prepared(length) });
  for (const row of rows) for (let i = 0; i < 5; i++) await row.run();
  // Two at a time, so that no third model's weights take the place of theirs in the caches.
  const [reference, ...ours] = rows;
  for (const one of ours) {
    reference.least = one.least = Infinity;
    const end = performance.now() + (Number(seconds) * 1000) / ours.length;
    do
      for (const row of [reference, one])
        for (let i = 0; i < RUNS_IN_TURN; i++) {
          const start = performance.now();
          await row.run();
          row.least = Math.min(row.least, performance.now() - start);
        }
    while (performance.now() < end);
    print(length, reference.kind, "", reference.least);
    print(length, one.kind, one.isa, one.least, (reference.least / one.least).toFixed(2), TARGETS[one.kind][length]?.toFixed(1));
  }
}
process.exit(0);
