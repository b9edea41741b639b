// Uses of the package's types, which the compiler must accept, or refuse where a line says so.

import { load, type Answer, type Classification, type Entity, type Model, type Progress } from "mbert-onnx-web";

const controller = new AbortController();
const model: Model = await load(new URL("model.onnx", import.meta.url), {
  signal: controller.signal,
  onProgress: ({ loaded, total }: Progress) => console.log(total === null ? loaded : loaded / total),
  cache: true,
  threads: 2,
});
await load(new Uint8Array(4));
await load(await fetch("model.onnx"), { vocabulary: ["[PAD]"], wasm: "/wasm/", relaxed: false });

const answers: Answer[] = await model.answer("who", "ada", { top_k: 2, stride: 8, signal: controller.signal });
const batches: Answer[][] = await model.answer(["who", "what"], "ada");
const label: string = (await model.classify("text", { pair: "other" })).label;
const labels: Classification[] = await model.classify(["text"]);
const entities: Entity[] = await model.tag("text");
const index: number = (await model.tag("text", { aggregation: "none" }))[0].index;
const vector: Float32Array = await model.embed("text", { normalize: true });
const token: string = (await model.fill("[MASK]"))[0].tokens[0].token_str;
const { choice } = await model.choose("prompt", ["one", "two"]);
const { is_next } = await model.nextSentence("one", "two");
const { logits } = await model.logits({ input_ids: [[101, 102]] });
const outputs = await model.run({ text: { dims: [1], data: new Uint8Array(1) } });
model.dispose();

// @ts-expect-error: a number is no source
await load(5);
// @ts-expect-error: the options have the names of Python's
await model.answer("who", "ada", { topK: 2 });
// @ts-expect-error: grouped entities have no index
(await model.tag("text"))[0].index;

console.log(answers, batches, label, labels, entities, index, vector, token, choice, is_next, logits.dims, outputs);
