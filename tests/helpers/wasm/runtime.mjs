// The standalone runtime in Node.js through its C interface alone, for tests and measurements of the .wasm files.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";

// The V8 of Node 20 has relaxed SIMD behind a flag; newer ones have it, and no such flag.
if (Number(process.versions.node.split(".")[0]) < 21) setFlagsFromString("--experimental-wasm-relaxed-simd");

const PAGE = 65536, STACK = 262144;
// Bytes of an element, by ONNX's number of its type.
const ELEMENT_BYTES = { 1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4 };

/** An instance of a .wasm file, with workers for `threads` above 1, where it has a shared memory. */
export async function open(wasm, threads = 1) {
  const module = new WebAssembly.Module(readFileSync(wasm));
  const isShared = WebAssembly.Module.imports(module).length > 0;
  const imported = isShared ? new WebAssembly.Memory({ initial: 16, maximum: PAGE, shared: true }) : undefined;
  const { exports } = new WebAssembly.Instance(module, { env: { memory: imported } });
  const runtime = new Runtime(exports, imported ?? exports.memory, threads);
  for (let i = 1; i < threads; i++) {
    const stack = exports.mbert_allocate(STACK) + STACK;
    const workerData = { module, memory: imported, stack };
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData });
    await new Promise((resolve) => worker.once("message", resolve));
    runtime.workers.push(worker);
  }
  return runtime;
}

class Runtime {
  constructor(exports, memory, threads) {
    Object.assign(this, { exports, memory, threads, workers: [] });
  }

  get instructionSet() {
    return this.text(this.exports.mbert_instruction_set());
  }

  text(at) {
    const bytes = new Uint8Array(this.memory.buffer, at);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  copied(bytes) {
    const at = this.exports.mbert_allocate(bytes.length);
    new Uint8Array(this.memory.buffer, at).set(bytes);
    return at;
  }

  check(isFine) {
    if (!isFine) throw new Error(this.text(this.exports.mbert_error()));
  }

  load(file) {
    const bytes = readFileSync(file);
    const model = this.exports.mbert_load_owned(this.copied(bytes), bytes.length, this.threads);
    this.check(model);
    return model;
  }

  /** A function that runs a model on inputs {name: {type, dims, bytes}} and returns outputs {name: {type, dims, bytes}}. */
  prepared(model, inputs) {
    const e = this.exports, run = e.mbert_run_new(model);
    const given = Object.entries(inputs).map(([name, { type, dims, bytes }]) => [
      this.copied(new TextEncoder().encode(`${name}\0`)),
      type,
      dims.length,
      this.copied(new Uint8Array(Int32Array.from(dims).buffer)),
      this.copied(bytes),
    ]);
    return () => {
      for (const input of given) this.check(e.mbert_set_input(run, ...input) === 0);
      this.check(e.mbert_run(run) === 0);
      const outputs = {};
      for (let i = 0; i < e.mbert_output_count(run); i++) {
        const dims = [...new Int32Array(this.memory.buffer, e.mbert_output_dims(run, i), e.mbert_output_rank(run, i))];
        const type = e.mbert_output_type(run, i), count = dims.reduce((a, b) => a * b, 1);
        const data = new Uint8Array(this.memory.buffer, e.mbert_output_data(run, i), count * ELEMENT_BYTES[type]);
        outputs[this.text(e.mbert_output_name(run, i))] = { type, dims, bytes: data.slice() };
      }
      return outputs;
    };
  }

  async close() {
    for (const worker of this.workers) await worker.terminate();
  }
}
