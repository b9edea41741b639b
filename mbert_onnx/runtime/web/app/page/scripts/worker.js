// The worker: downloads onnxruntime-web and the model, and runs it on one thread, which needs no special headers.

import { download } from "./download.js";

let ort, session;

async function load(settings) {
  const { runtime, model } = settings;
  const total = runtime.wasm.bytes + model.bytes;
  const loaded = [0, 0];
  const progress = (place) => (bytes) => {
    loaded[place] = bytes;
    postMessage({ kind: "progress", loaded: loaded[0] + loaded[1], total });
  };
  const [wasm, bytes] = await Promise.all([
    download(settings, runtime.wasm, progress(0)),
    download(settings, model, progress(1)),
  ]);
  try {
    ort = await import(new URL(`../${runtime.script}`, import.meta.url));
  } catch {
    throw new Error(`${runtime.script} cannot be loaded. Check the connection, and that the whole folder is on the server.`);
  }
  Object.assign(ort.env, { logLevel: "error" });
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm });
  try {
    session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  } catch (error) {
    throw new Error(
      `The model cannot be opened (${error.message}). Upload the whole folder again, or use a device with more memory.`,
    );
  }
}

async function run(inputs) {
  const feeds = {};
  for (const [name, { type, data, dims }] of Object.entries(inputs)) feeds[name] = new ort.Tensor(type, data, dims);
  const found = await session.run(feeds);
  const outputs = {};
  for (const [name, { data, dims }] of Object.entries(found)) outputs[name] = { data: Array.from(data, Number), dims };
  return outputs;
}

onmessage = async ({ data: { kind, settings, number, inputs } }) => {
  try {
    if (kind === "load") {
      await load(settings);
      postMessage({ kind: "ready" });
    } else {
      postMessage({ kind: "answer", number, outputs: await run(inputs) });
    }
  } catch ({ message }) {
    postMessage(kind === "load" ? { kind: "failed", message } : { kind: "answer", number, message });
  }
};
