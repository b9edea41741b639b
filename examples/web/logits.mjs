// Runs a bundle's model on token ids, with onnxruntime-web (WebAssembly, as in a browser) or onnxruntime-node.
//
// ONNXRUNTIME_NODE_INSTALL=skip npm install
// node logits.mjs onnxruntime-web BUNDLE/onnx/model_int8.onnx < ids.json
//
// ONNXRUNTIME_NODE_INSTALL=skip: onnxruntime-node's CPU library is in its package, and its install script would download
// CUDA's, which is not used here.
//
// ids.json: {"input_ids": [[101, 2040, 102]], "attention_mask": [[1, 1, 1]], "token_type_ids": [[0, 0, 0]]}

import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";

const [runtime, model] = process.argv.slice(2);
const ort = await import(runtime);
const session = await ort.InferenceSession.create(new Uint8Array(await readFile(model)), {
  executionProviders: [runtime === "onnxruntime-web" ? "wasm" : "cpu"],
});

const rows = JSON.parse(await text(process.stdin));
const feeds = {};
for (const { name, type } of session.inputMetadata) {
  const sizes = [rows[name].length, rows[name][0].length];
  const ids = rows[name].flat();
  // int64 in most files, int32 in files for the target mobile.
  feeds[name] = new ort.Tensor(type, type === "int64" ? BigInt64Array.from(ids, BigInt) : Int32Array.from(ids), sizes);
}

const outputs = await session.run(feeds);
const printed = {};
for (const name of session.outputNames) printed[name] = { dims: outputs[name].dims, data: [...outputs[name].data] };
// JSON has no NaN.
console.log(JSON.stringify(printed, (_, value) => (Number.isNaN(value) ? "NaN" : value)));
process.exit(0); // the runtime's threads keep the process alive
