// A model of token ids in onnxruntime-web and in the standalone runtime, one thread, on the same sequences of any length.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { open } from "../wasm/runtime.mjs";

const INT64 = 7;
const VALUES = { input_ids: (i) => 1000 + ((i * 7919) % 20000), attention_mask: () => 1, token_type_ids: () => 0 };

const inputs = (length) =>
  Object.entries(VALUES).map(([name, value]) => [name, BigInt64Array.from({ length }, (_, i) => BigInt(value(i)))]);

/** A model in the onnxruntime-web of a folder: `prepared(length)` returns a function that runs one sequence. */
export async function inOnnxruntimeWeb(folder, model) {
  const ort = await import(pathToFileURL(`${folder}/dist/ort.wasm.min.mjs`));
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), { executionProviders: ["wasm"] });
  const prepared = (length) => {
    const feeds = Object.fromEntries(
      inputs(length).map(([name, numbers]) => [name, new ort.Tensor("int64", numbers, [1, length])]),
    );
    return () => session.run(feeds);
  };
  return { instructionSet: "", prepared };
}

/** A model in the standalone runtime of a .wasm file: `prepared(length)` returns a function that runs one sequence. */
export async function inStandaloneRuntime(wasm, model) {
  const runtime = await open(wasm);
  const loaded = runtime.load(model);
  const prepared = (length) =>
    runtime.prepared(
      loaded,
      Object.fromEntries(
        inputs(length).map(([name, numbers]) => [
          name,
          { type: INT64, dims: [1, length], bytes: new Uint8Array(numbers.buffer) },
        ]),
      ),
    );
  return { instructionSet: runtime.instructionSet, prepared };
}
