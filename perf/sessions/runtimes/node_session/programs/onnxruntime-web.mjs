// onnxruntime-web for worker.mjs: WebAssembly, without WebGPU.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

export async function prepare(folder) {
  const require = createRequire(join(folder, "package.json"));
  const ort = require("onnxruntime-web");

  async function open(file, threads) {
    ort.env.wasm.numThreads = threads; // of all sessions of a process, from the first one on
    const session = await ort.InferenceSession.create(new Uint8Array(await readFile(file)), {
      executionProviders: ["wasm"],
      logSeverityLevel: 3,
    });
    const tensorOf = ({ type, dims, data }) => new ort.Tensor(type, data, dims);
    return {
      instructionSet: "wasm-simd128", // all that its files have
      inputs: session.inputMetadata.map(({ name, type, shape }) => ({ name, type, shape })),
      outputs: session.outputNames,
      feedOf: (feed) => Object.fromEntries(Object.entries(feed).map(([name, tensor]) => [name, tensorOf(tensor)])),
      run: (feed) => session.run(feed),
      release: () => session.release(),
    };
  }

  return { version: require("./package.json").version, open };
}
