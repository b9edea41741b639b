// Runs a model file in the standalone runtime, without the npm package: node run_model.mjs WASM MODEL INPUTS OUTPUTS
// [THREADS]. INPUTS is JSON, {name: {type, dims, file}}, with ONNX's numbers of types and files of raw numbers; each
// output is written to OUTPUTS/NAME, and a list of them, with the instruction set, printed as JSON.
import { readFileSync, writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

const [wasm, model, inputs, outputs, threads = "1"] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(wasm));
const isShared = WebAssembly.Module.imports(module).length > 0;
const PAGE = 65536, STACK = 262144;
const imported = isShared ? new WebAssembly.Memory({ initial: 16, maximum: PAGE, shared: true }) : undefined;
const { exports: e } = new WebAssembly.Instance(module, { env: { memory: imported } });
const memory = imported ?? e.memory;

const text = (at) => {
  const bytes = new Uint8Array(memory.buffer, at);
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
};
const copied = (bytes) => {
  const at = e.mbert_allocate(bytes.length);
  new Uint8Array(memory.buffer, at).set(bytes);
  return at;
};
const name = (given) => copied(new TextEncoder().encode(`${given}\0`));
const checked = (isFine) => {
  if (isFine) return;
  console.error(text(e.mbert_error()));
  process.exit(1);
};

const workers = [];
for (let i = 1; i < Number(threads); i++) {
  const stack = e.mbert_allocate(STACK) + STACK;
  const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: { module, memory, stack } });
  await new Promise((resolve) => worker.once("message", resolve));
  workers.push(worker);
}

const file = copied(readFileSync(model));
const loaded = e.mbert_load(file, readFileSync(model).length, Number(threads));
checked(loaded);
e.mbert_release(file);
const run = e.mbert_run_new(loaded);
for (const [given, { type, dims, file: data }] of Object.entries(JSON.parse(readFileSync(inputs, "utf8")))) {
  const sizes = copied(new Uint8Array(Int32Array.from(dims).buffer));
  checked(e.mbert_set_input(run, name(given), type, dims.length, sizes, copied(readFileSync(data))) === 0);
}
const start = performance.now();
checked(e.mbert_run(run) === 0);
const took = performance.now() - start;

const found = [];
for (let i = 0; i < e.mbert_output_count(run); i++) {
  const label = text(e.mbert_output_name(run, i)), rank = e.mbert_output_rank(run, i);
  const dims = [...new Int32Array(memory.buffer, e.mbert_output_dims(run, i), rank)];
  const type = e.mbert_output_type(run, i), bytes = dims.reduce((a, b) => a * b, { 1: 4, 6: 4, 7: 8 }[type] ?? 1);
  writeFileSync(`${outputs}/${label}`, new Uint8Array(memory.buffer, e.mbert_output_data(run, i), bytes).slice());
  found.push({ name: label, type, dims });
}
e.mbert_run_release(run);
e.mbert_unload(loaded);
console.log(JSON.stringify({ outputs: found, instructionSet: text(e.mbert_instruction_set()), took }));
for (const worker of workers) await worker.terminate();
