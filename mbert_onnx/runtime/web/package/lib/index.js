// Loader of models: the file and the .wasm are fetched at once, and each model has a WebAssembly instance of its own.

import { abortable, checkCount } from "./checks.js";
import { modelOf } from "./model.js";
import { openSession } from "./session.js";
import { nothing, open, read } from "./source.js";
import { instantiate } from "./wasm.js";

export async function load(source, options = {}) {
  checkCount("threads", options.threads ?? 1);
  options.signal?.throwIfAborted();
  return abortable(loadModel(source, options), options.signal);
}

async function loadModel(source, options) {
  const instance = instantiate(options);
  try {
    const [file, wasm] = await Promise.all([open(source, options), instance]);
    const session = await openSession(wasm, (write) => read(file, options, write));
    return modelOf(session, file, options);
  } catch (error) {
    instance.then(({ close }) => close(), nothing);
    throw error;
  }
}
