// Session: a model in the memory of its instance, through the C interface of the .wasm (mbert_runtime.h).

import { check, entries, Error, Float32Array, Int32Array, objectOf, parse, Uint8Array } from "./checks.js";
import { encode } from "./texts.js";

// ONNX's numbers of element types, and the arrays that hold such elements, by onnxruntime's names.
const TYPES = {
  float32: [1, Float32Array],
  uint8: [2, Uint8Array],
  int32: [6, Int32Array],
  int64: [7, BigInt64Array],
  bool: [9, Uint8Array],
};
const decoder = new TextDecoder();
// The byte with which a page of HTML begins, and no .onnx file does.
const LESS_THAN = 0x3c;

/** The input or output of a name; undefined if there is none. */
export const portOf = (ports, wanted) => ports.find((one) => one.name === wanted);

/** The number of elements of a tensor. */
export const sizeOf = (dims) => dims.reduce((product, size) => product * size, 1);

/**
 * Loads a model: {inputs, outputs, metadata, info, memory, run(inputs), dispose()}.
 *
 * wasm: of `instantiate`. readFile(write): reads the model's file with write(chunk, length); length: of the file, 0 if
 * that is unknown. Chunks go into the memory of the instance as they arrive, and packed weights take their place there.
 * address, isCached: of `open`.
 */
export async function openSession(wasm, readFile, { address, isCached: cached = false }) {
  let { c } = wasm;
  // Anew each time, because growth of the memory replaces the buffer.
  const memory = () => new Uint8Array(wasm.heap.buffer);
  const allocate = (size, before) => {
    const place = c.extend(before, size) >>> 0; // addresses beyond 2 GB are negative without this
    check(place, `no memory for ${size} bytes; dispose of models or cut texts`);
    return place;
  };
  const copyOf = (kind, place, length) => {
    place >>>= 0;
    return new kind(memory().slice(place, place + length * kind.BYTES_PER_ELEMENT).buffer);
  };
  const stringAt = (place) => decoder.decode(memory().slice((place >>>= 0), memory().indexOf(0, place)));
  // What is said of the whole file begins with "this is".
  const errorText = () => stringAt(c.error()).replace(/^this is/, `${address || "this"} is${isPage ? " HTML," : ""}`);
  const expect = (isRight, kind = Error) => check(isRight, isRight || errorText(), kind);

  let file;
  let size = 0;
  await readFile((chunk, length) => {
    const end = size + chunk.length;
    file = allocate(Math.max(end, length), file);
    memory().set(chunk, file + size);
    size = end;
  });
  const isPage = memory()[file] === LESS_THAN;
  const model = c.load_owned(file, size, wasm.about.threads);
  expect(model);
  const description = parse(stringAt(c.describe(model)));

  return {
    ...description,
    info: { ...wasm.about, instructionSet: stringAt(c.instruction_set()), cached },
    get memory() {
      return c?.memory() >>> 0; // 0 without a model
    },
    dispose() {
      if (c) {
        c.unload(model);
        wasm.close();
        wasm = c = null; // with its memory
      }
    },
    async run(given, { signal } = {}) {
      signal?.throwIfAborted();
      check(c, "the model is disposed; load it again", Error);
      const places = [];
      const copy = (array) => {
        const place = allocate(array.byteLength);
        places.push(place);
        memory().set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), place);
        return place;
      };
      const run = c.run_new(model);
      try {
        for (const [name, { dims, data }] of entries(given)) {
          const { inputs } = description;
          const input = portOf(inputs, name);
          check(input, `the model has no input ${name}; expected ${inputs.map((one) => one.name)}`);
          const [type, kind] = TYPES[input.type];
          let values = data;
          if (!(data instanceof kind))
            try {
              values = kind.from(data, type === 7 ? BigInt : Number);
              // Integers are compared with what was given, because arrays wrap those that are out of range.
              check(type === 1 || values.every((value, place) => value == data[place]));
            } catch {
              check(false, `${name} has a value that is no ${input.type}`);
            }
          check(values.length === sizeOf(dims), `${name} has ${values.length} values; expected those of ${dims}`);
          const shape = copy(Int32Array.from(dims));
          expect(!c.set_input(run, copy(encode(`${name}\0`)), type, dims.length, shape, copy(values)), RangeError);
        }
        expect(!c.run(run));
        return objectOf(description.outputs, ({ name, type }, index) => {
          const dims = [...copyOf(Int32Array, c.output_dims(run, index), c.output_rank(run, index))];
          return [name, { type, dims, data: copyOf(TYPES[type][1], c.output_data(run, index), sizeOf(dims)) }];
        });
      } finally {
        c.run_release(run);
        places.forEach((place) => c.release(place));
      }
    },
  };
}
