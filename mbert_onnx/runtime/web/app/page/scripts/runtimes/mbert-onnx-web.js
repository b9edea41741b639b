// The model in mbert-onnx-web, on one thread, which needs no special headers. The page takes the inputs and outputs of the
// graph, as with onnxruntime-web.

import { checkSize, open } from "../download.js";

/** Loads the model. onProgress(loaded, total): bytes so far. Returns the function that runs it on inputs. */
export async function load(settings, onProgress) {
  const { runtime, model } = settings;
  const library = await import(new URL(`../../${runtime.script}`, import.meta.url)).catch(() => {
    throw new Error(`${runtime.script} cannot be loaded. Check the connection, and that the whole folder is on the server.`);
  });
  let loaded = 0;
  // The .wasm is fetched and compiled while the model arrives.
  const source = await open(settings, model);
  const onPart = (progress) => {
    loaded = progress.loaded;
    onProgress(loaded, model.bytes);
  };
  const opened = await library.load(source, { onProgress: onPart }).catch(async ({ message }) => {
    await checkSize(settings, model, loaded);
    throw new Error(
      `The model cannot be opened (${message}). Upload the whole folder again, or use a device with more memory.`,
    );
  });
  return (inputs) => opened.run(inputs);
}
