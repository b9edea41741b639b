// Inputs of a text file, as the worker takes them. Only required ones: onnxruntime-web knows no others.

import { encode } from "./utf8.js";

const bytes = (data) => ({ type: "uint8", data, dims: [data.length] });
const integers = (numbers) => ({ type: "int64", data: BigInt64Array.from(numbers, BigInt), dims: [numbers.length] });

/** The inputs for texts by the names of their inputs; a list of texts is one input with its splits. */
export function feed(settings, texts) {
  const found = { max_length: integers([settings.max_length]) };
  for (const [name, text] of Object.entries(texts)) {
    if (Array.isArray(text)) {
      const encoded = text.map(encode);
      const ends = encoded.reduce((splits, one) => [...splits, splits.at(-1) + one.length], [0]);
      found[name] = bytes(Uint8Array.from(encoded.flatMap((one) => [...one])));
      found[name.replace(/s$/, "_splits")] = integers(ends);
    } else {
      found[name] = bytes(encode(text));
    }
  }
  return found;
}
