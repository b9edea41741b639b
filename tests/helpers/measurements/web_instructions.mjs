// A model in onnxruntime-web or in the standalone runtime, run so many times at each length, for a counter of instructions:
// node web_instructions.mjs FOLDER|WASM_FILE MODEL TOKENS:RUNS…
// Prints the instruction set of the standalone runtime.
import { inOnnxruntimeWeb, inStandaloneRuntime } from "./web_models.mjs";

const [subject, model, ...work] = process.argv.slice(2);
const { instructionSet, prepared } = await (subject.endsWith(".wasm") ? inStandaloneRuntime : inOnnxruntimeWeb)(subject, model);
for (const [tokens, runs] of work.map((one) => one.split(":").map(Number))) {
  const run = prepared(tokens);
  for (let i = 0; i < runs; i++) await run();
}
console.log(instructionSet);
process.exit(0);
