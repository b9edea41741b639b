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
const best: string[] = (await model.choose(["prompt", "other"], ["one", "two"])).map((one) => one.choice);
const { is_next } = await model.nextSentence("one", "two");
const follow: boolean[] = (await model.nextSentence(["one", "two"], "three", { max_seq_len: 64, batch: 2 })).map(
  (one) => one.is_next > 0.5 || one.truncated,
);
const tags: string[] = (await model.tag(["text"], { aggregation: "none", stride: 4 })).flat().map((one) => one.entity);
const groups: string[] = (await model.tag(["text"])).flat().map((one) => one.entity_group);
const vectors: Float32Array[] = await model.embed(["one", "two"]);
const filled: number = (await model.fill(["[MASK]"], { top_k: 2 }))[0][0].tokens[0].score;
const pairs: Classification[] = await model.classify(["one", "two"], { pair: ["three", "four"], top_k: 1 });
const { logits } = await model.logits({ input_ids: [[101, 102]] });
const ids = new BigInt64Array([101n, 102n]);
const other = await model.logits({ input_ids: { dims: [1, 2], data: ids }, attention_mask: [[1, 1]] });
const { task, labels: names, memory, info, inputs } = model;
const shape: (string | number)[] = [...inputs[0].shape, task ?? "", names.length, memory, info.note ?? info.wasm];
const outputs = await model.run({ text: { dims: [1], data: new Uint8Array(1) } });
const some = ["one"] as readonly string[];
const aggregation = shape.length ? "simple" : "none";
const either = [await model.tag("text", { aggregation }), await model.classify(some), await model.fill(some)];
const optional: boolean = inputs[0].optional ?? false;
await load(new SharedArrayBuffer(4), { vocabulary: some });
model.dispose();

// @ts-expect-error: a number is no source
await load(5);
// @ts-expect-error: the options have the names of Python's
await model.answer("who", "ada", { topK: 2 });
// @ts-expect-error: grouped entities have no index
(await model.tag("text"))[0].index;

console.log(
  answers,
  batches,
  label,
  labels,
  entities,
  index,
  vector,
  token,
  choice,
  is_next,
  logits.dims,
  outputs,
  best,
  follow,
  tags,
  groups,
);
console.log(either, optional, vectors, filled, pairs, other.logits.data, shape);
