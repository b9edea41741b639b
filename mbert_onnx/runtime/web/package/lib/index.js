// Loader of models: the file and the .wasm are fetched at once, and each model has a WebAssembly instance of its own.

import { abortable, checkCount, Promise } from "./checks.js";
import { modelOf } from "./model.js";
import { openSession } from "./session.js";
import { nothing, open, read } from "./source.js";
import { instantiate } from "./wasm.js";

export async function load(source, options = {}) {
  checkCount("threads", options.threads ?? 1);
  const { signal } = options;
  return abortable(async () => {
    const instance = instantiate(options);
    try {
      const [file, wasm] = await Promise.all([open(source, options), instance]);
      const session = await openSession(wasm, (write) => read(file, options, write), file);
      await file.keep?.(); // now that it is known to be a model
      signal?.throwIfAborted();
      return modelOf(session, file, options);
    } catch (error) {
      instance.then((wasm) => wasm.close(), nothing);
      throw error;
    }
  }, signal);
}
