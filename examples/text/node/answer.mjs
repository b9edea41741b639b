// Prints the best answers to a question. A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// node answer.mjs BUNDLE "Who wrote it?" "It was written by Ada in 1843."

import * as ort from "onnxruntime-node";

const [bundle, question, context] = process.argv.slice(2);
const session = await ort.InferenceSession.create(`${bundle}/onnx/model_text.onnx`, { logSeverityLevel: 3 });

// Answers are spans of bytes, so they are cut out of the bytes: a character of a string may be 1 to 3 bytes.
const bytes = new TextEncoder().encode(context);
const tensor = (data) => new ort.Tensor("uint8", data, [data.length]);
const { spans, scores } = await session.run({
  text: tensor(new TextEncoder().encode(question)),
  context: tensor(bytes),
  max_length: new ort.Tensor("int64", BigInt64Array.of(384n), [1]), // a longer context is read in windows
});
scores.data.forEach((score, number) => {
  if (score < 0) return; // behind the last answer
  const [start, end] = spans.data.subarray(2 * number, 2 * number + 2);
  console.log(score.toFixed(4), new TextDecoder().decode(bytes.subarray(Number(start), Number(end))));
});
