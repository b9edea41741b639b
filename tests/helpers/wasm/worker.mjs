// A worker thread that helps the runs of an instance of mbert-threads.wasm.
import { parentPort, workerData } from "node:worker_threads";

const { module, memory, stack } = workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
parentPort.postMessage("ready");
exports.mbert_work(stack);
