// Runs a model file in the standalone runtime: node run_model.mjs WASM MODEL INPUTS OUTPUTS [THREADS [TIMES]]. INPUTS is
// JSON, {name: {type, dims, file}}, with ONNX's numbers of types and files of raw numbers. Writes each output to
// OUTPUTS/NAME, and prints JSON: the outputs, the instruction set, and whether all runs gave the same bytes.
import { readFileSync, writeFileSync } from "node:fs";
import { open } from "./runtime.mjs";

const [wasm, model, inputs, folder, threads = "1", times = "1"] = process.argv.slice(2);
try {
  const runtime = await open(wasm, Number(threads));
  const given = Object.entries(JSON.parse(readFileSync(inputs, "utf8")));
  const run = runtime.prepared(
    runtime.load(model),
    Object.fromEntries(given.map(([name, { type, dims, file }]) => [name, { type, dims, bytes: readFileSync(file) }])),
  );
  const outputs = run();
  let areSame = true;
  for (let i = 1; i < Number(times); i++)
    for (const [name, { bytes }] of Object.entries(run()))
      areSame &&= Buffer.compare(bytes, outputs[name].bytes) === 0;
  const found = [];
  for (const [name, { type, dims, bytes }] of Object.entries(outputs)) {
    writeFileSync(`${folder}/${name}`, bytes);
    found.push({ name, type, dims });
  }
  console.log(JSON.stringify({ outputs: found, instructionSet: runtime.instructionSet, areSame }));
  await runtime.close();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
