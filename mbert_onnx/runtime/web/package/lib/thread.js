// A thread of a model: an instance on the memory of the model, which waits there for work until it is terminated.

const node = "node:worker_threads"; // no literal below, because bundlers for browsers would look for it
const port = globalThis.postMessage
  ? globalThis
  : (await import(/* webpackIgnore: true */ /* @vite-ignore */ node)).parentPort;

port.onmessage = async ({ data: [module, memory, stack] }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  port.postMessage("ready");
  exports.mbert_work(stack);
};
