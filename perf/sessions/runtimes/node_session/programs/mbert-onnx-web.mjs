// mbert-onnx-web for worker.mjs: relaxed SIMD where this Node.js has it.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function prepare(folder) {
  const { load } = await import(pathToFileURL(join(folder, "lib", "index.js")));
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));

  async function open(file, threads) {
    const model = await load(pathToFileURL(file), { threads });
    const { instructionSet, note } = model.info;
    return {
      instructionSet: note ? `${instructionSet}, ${note}` : instructionSet,
      inputs: model.inputs,
      outputs: model.outputs.map(({ name }) => name),
      feedOf: (feed) => feed,
      run: (feed) => model.run(feed),
      release: () => model.dispose(),
    };
  }

  return { version, open };
}
