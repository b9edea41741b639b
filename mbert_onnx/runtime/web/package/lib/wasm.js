// The .wasm: which of the files this engine takes, compiled once for each address; instances with their own memory.

import { entries, objectOf, Promise, Response, scope, Uint8Array, WebAssembly } from "./checks.js";
import { failure, isNode, node, open, requestOf } from "./source.js";

// In the form in which bundlers find them.
const FILES = [
  new URL("../wasm/mbert.wasm", import.meta.url),
  new URL("../wasm/mbert-relaxed.wasm", import.meta.url),
  new URL("../wasm/mbert-threads.wasm", import.meta.url),
  new URL("../wasm/mbert-relaxed-threads.wasm", import.meta.url),
];
// Pages of 64 KB: the beginning of a shared memory, and its most, 2 GB. Bytes of a thread's stack.
const INITIAL = 256,
  MAXIMUM = 32768,
  STACK = 1 << 18;
// A module of one function, which engines with relaxed SIMD find valid.
// prettier-ignore
const RELAXED = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, // "\0asm", version 1
  1, 4, 1, 96, 0, 0, // types: of a function without parameters and results
  3, 2, 1, 0, // functions
  10, 9, 1, 7, 0, // code: 7 bytes, no locals
  0, 253, 147, 2, 26, 11, // unreachable, after which no operands are needed; i32x4.relaxed_dot_i8x16_i7x16_add_s, drop, end
);
const modules = {};

/** Makes an instance: {c, heap, about, close()}. c: the functions of the C interface without their prefix. heap: their memory. about: of `model.info`. */
export async function instantiate({ threads = 1, relaxed = true, wasm }) {
  const Worker = threads > 1 && scope.SharedArrayBuffer && (await workerClass());
  const isShared = Boolean(Worker);
  const isRelaxed = relaxed && WebAssembly.validate(RELAXED);
  // Bundlers may give the files other names than they have in a folder of the caller.
  const name = `mbert${isRelaxed ? "-relaxed" : ""}${isShared ? "-threads" : ""}.wasm`;
  const module = await compiled(wasm ? new URL(name, (await requestOf(wasm)).url) : FILES[2 * isShared + isRelaxed]);
  const shared = isShared && { memory: new WebAssembly.Memory({ initial: INITIAL, maximum: MAXIMUM, shared: true }) };
  const { exports } = await WebAssembly.instantiate(module, { env: { ...shared } });
  const { memory } = { ...exports, ...shared };
  const c = objectOf(entries(exports), ([key, value]) => [key.split("mbert_")[1], value]);
  const workers = [];
  const close = () => workers.splice(0).forEach((worker) => worker.terminate());
  let note = threads > 1 && !isShared ? "one thread: no shared memory; a page must be cross-origin isolated" : null;
  if (isShared) {
    try {
      while (workers.length < threads - 1)
        workers.push(await startWorker(Worker, module, memory, c.allocate(STACK) + STACK));
    } catch ({ message }) {
      note = message || "thread.js cannot load"; // an event of a Worker has no message
      close();
    }
  }
  return { c, heap: memory, about: { wasm: name, threads: workers.length + 1, note }, close };
}

/** The module of an address. One that failed is fetched again. */
function compiled(url) {
  return (modules[url] ??= compile(url).catch((error) => {
    delete modules[url];
    throw error;
  }));
}

async function compile(url) {
  const { body } = (await open(url)).response;
  // Servers often have another type for .wasm, with which engines refuse to compile.
  const response = new Response(body, { headers: { "Content-Type": "application/wasm" } });
  return WebAssembly.compileStreaming(response).catch(failure(url, ", or use a newer browser"));
}

/** The class of workers; undefined in a service worker, which has none. */
const workerClass = async () => scope.Worker ?? (isNode && (await node("worker_threads")).Worker);

async function startWorker(Worker, ...parts) {
  const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
  worker.unref?.(); // it does not keep Node alive
  await new Promise((resolve, reject) => {
    const on = worker.once ?? worker.addEventListener;
    on.call(worker, "message", resolve);
    on.call(worker, "error", reject);
    worker.postMessage(parts);
  });
  return worker;
}
