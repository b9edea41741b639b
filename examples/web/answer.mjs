// Answers a question with a bundle in transformers.js.
//
// ONNXRUNTIME_NODE_INSTALL=skip npm install    (see logits.mjs)
// node answer.mjs BUNDLE fp32|fp16|int8 "Who wrote it?" "It was written by Ada in 1843."

import { basename, dirname, resolve } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [bundle, dtype, question, context] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(bundle));

const answerer = await pipeline("question-answering", basename(resolve(bundle)), { dtype });
const { answer } = await answerer(question, context);
console.log(answer);
