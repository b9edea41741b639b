// The worker: loads the model, and runs it, so that the page never stands still.

let run;

async function load(settings) {
  const name = `runtimes/${settings.runtime.name}.js`;
  const runtime = await import(`./${name}`).catch(() => {
    throw new Error(`scripts/${name} cannot be loaded. Check the connection, and that the whole folder is on the server.`);
  });
  run = await runtime.load(settings, (loaded, total) => postMessage({ kind: "progress", loaded, total }));
}

async function answer(inputs) {
  const outputs = {};
  for (const [name, { data, dims }] of Object.entries(await run(inputs))) outputs[name] = { data: Array.from(data, Number), dims };
  return outputs;
}

onmessage = async ({ data: { kind, settings, number, inputs } }) => {
  try {
    if (kind === "load") {
      await load(settings);
      postMessage({ kind: "ready" });
    } else {
      postMessage({ kind: "answer", number, outputs: await answer(inputs) });
    }
  } catch ({ message }) {
    postMessage(kind === "load" ? { kind: "failed", message } : { kind: "answer", number, message });
  }
};
