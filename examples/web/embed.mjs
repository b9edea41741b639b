// Similarity of two texts with a bundle for sentence similarity in transformers.js.
//
// ONNXRUNTIME_NODE_INSTALL=skip npm install    (see logits.mjs)
// node embed.mjs BUNDLE fp32|fp16|int8 "A fine film." "The movie is great."

import { basename, dirname, resolve } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [bundle, dtype, ...texts] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(bundle));

const embed = await pipeline("feature-extraction", basename(resolve(bundle)), { dtype });
const vectors = [];
for (const text of texts) {
  const { data } = await embed(text, { pooling: "mean", normalize: true });
  vectors.push([...data]);
}
const [first, second = first] = vectors;
const similarity = first.reduce((sum, value, index) => sum + value * second[index], 0);
console.log(JSON.stringify({ similarity, vectors }));
