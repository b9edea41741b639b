// The model in onnxruntime-web, on one thread, which needs no special headers.

import { download } from "../download.js";

/** Loads the model. onProgress(loaded, total): bytes so far. Returns the function that runs it on inputs. */
export async function load(settings, onProgress) {
  const { runtime, model } = settings;
  const total = runtime.wasm.bytes + model.bytes;
  const loaded = [0, 0];
  const progress = (place) => (bytes) => {
    loaded[place] = bytes;
    onProgress(loaded[0] + loaded[1], total);
  };
  const [wasm, bytes] = await Promise.all([
    download(settings, runtime.wasm, progress(0)),
    download(settings, model, progress(1)),
  ]);
  const ort = await import(new URL(`../../${runtime.script}`, import.meta.url)).catch(() => {
    throw new Error(`${runtime.script} cannot be loaded. Check the connection, and that the whole folder is on the server.`);
  });
  Object.assign(ort.env, { logLevel: "error" });
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm });
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 }).catch(
    ({ message }) => {
      throw new Error(
        `The model cannot be opened (${message}). Upload the whole folder again, or use a device with more memory.`,
      );
    },
  );
  return (inputs) => {
    const entries = Object.entries(inputs).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]);
    return session.run(Object.fromEntries(entries));
  };
}
