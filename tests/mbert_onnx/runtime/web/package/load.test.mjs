// `load`: which .wasm is fetched, how often, and what stops it. The .wasm files must be built; else these tests are skipped.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { Worker } from "node:worker_threads";

import { load } from "../../../../../mbert_onnx/runtime/web/package/lib/index.js";
import { instantiate as instance } from "../../../../../mbert_onnx/runtime/web/package/lib/wasm.js";

const FOLDER = new URL("../../../../../mbert_onnx/runtime/web/package/wasm/", import.meta.url);
const skip = existsSync(new URL("mbert.wasm", FOLDER)) ? false : "the .wasm files are not built";
const NO_MODEL = new Uint8Array([1, 2, 3]);

let server, base, requests, closed, threads, parsed;

/** Workers of Node, which count those that run. */
globalThis.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    const count = threads; // that of the test which starts it; it may end in the next one
    count.started++;
    count.running++;
    this.once("exit", () => count.running--);
  }
};
// The functions of a .wasm, which count how often a file was given to it.
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...given) => {
  const { exports } = await instantiate(...given);
  return { exports: { ...exports, mbert_load_owned: (...file) => ++parsed && exports.mbert_load_owned(...file) } };
};

before(async () => {
  // The server closes no connection that is idle, because a request on it would fail.
  server = createServer({ keepAliveTimeout: 0 }, async ({ url }, response) => {
    requests.push(url);
    response.on("close", () => closed.push(url));
    if (url.startsWith("/wasm/")) response.end(await readFile(new URL(url.split("/").at(-1), FOLDER)));
    else if (url.startsWith("/endless")) response.writeHead(200).write("begin");
    else if (url === "/file") response.end(NO_MODEL);
    else if (url === "/page") response.end("<!doctype html>");
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  base = `http://localhost:${server.address().port}`;
});

beforeEach(() => {
  requests = [];
  closed = [];
  threads = { started: 0, running: 0 };
  parsed = 0;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

/** Waits until something is so; the limit is that of test_modules.py. */
async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Starts a load, and aborts it when isReady(): it rejects with the reason, long before it would end. */
async function aborted(source, options, isReady) {
  const controller = new AbortController();
  const reason = new Error("enough");
  const rejects = assert.rejects(load(source, { ...options, signal: controller.signal }), reason);
  await until(isReady);
  controller.abort(reason);
  await rejects;
}

test("an aborted download", { skip }, async () => {
  await aborted(`${base}/endless.onnx`, {}, () => requests.length);
  await until(() => closed.length);
  assert.deepEqual(closed, ["/endless.onnx"]);
});

test("an aborted download of the .wasm", { skip }, () =>
  aborted(NO_MODEL, { wasm: `${base}/endless/` }, () => requests.length),
);

test("a response of the caller that never ends is cancelled, and the threads end", { skip }, async () => {
  let isCancelled = false;
  const stream = new ReadableStream({ cancel: () => (isCancelled = true) });
  await aborted(new Response(stream), { threads: 2 }, () => stream.locked);
  await until(() => isCancelled && !threads.running);
  assert.equal(threads.started, 1);
});

/** Holds back the results of a function, or its calls: {isReached(), open()}. */
function hold(context, object, name, isCallHeld = false) {
  const real = object[name];
  let isReached = false;
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  context.mock.method(object, name, async (...given) => {
    const result = isCallHeld ? null : real.apply(object, given);
    isReached = true;
    await opened;
    return isCallHeld ? real.apply(object, given) : result;
  });
  return { isReached: () => isReached, open };
}

for (const [stage, ...held] of [
  ["between download and compilation of the .wasm", WebAssembly, "compileStreaming", true],
  ["during its compilation", WebAssembly, "compileStreaming"],
  ["during its instantiation", WebAssembly, "instantiate"],
]) {
  test(`an abort ${stage}`, { skip }, async (context) => {
    const { isReached, open } = hold(context, ...held);
    const events = [];
    const options = { wasm: `${base}/wasm/${encodeURI(stage)}/`, threads: 2 };
    await aborted(`${base}/file`, { ...options, onProgress: (event) => events.push(event) }, isReached);
    open();
    await until(() => threads.started && !threads.running);
    assert.equal(events.length, 0);
    assert.equal(parsed, 0);
    // The compilation serves the next load.
    await assert.rejects(load(NO_MODEL, options), /expected a file that mbert-onnx export wrote/);
    assert.equal(parsed, 1);
    assert.equal(requests.filter((url) => url.startsWith("/wasm/")).length, 1);
  });
}

test("the cache gets no file that is no model, and the error names what it is", { skip }, async () => {
  const kept = [];
  globalThis.caches = { open: async () => ({ match: async () => undefined, put: async ({ url }) => kept.push(url) }) };
  await assert.rejects(
    load(`${base}/file`, { cache: true }),
    /\/file is not an .onnx file, or not a whole one; expected/,
  );
  await assert.rejects(load(`${base}/page`, { cache: true }), /\/page is HTML, not an .onnx file/);
  assert.deepEqual(kept, []);
  delete globalThis.caches;
});

test("threads that cannot start leave a note", { skip }, async (context) => {
  const { instantiate: real } = WebAssembly;
  context.mock.method(WebAssembly, "instantiate", async (...given) => {
    const { exports } = await real(...given);
    return { exports: { ...exports, mbert_allocate: () => 0 } };
  });
  const { Worker: own } = globalThis;
  globalThis.Worker = class {
    addEventListener = (name, listener) => name === "error" && setTimeout(listener, 0, { type: "error" });
    postMessage() {}
    terminate() {}
  };
  const { about } = await instance({ threads: 2 });
  globalThis.Worker = own;
  assert.deepEqual([about.threads, about.note], [1, "thread.js cannot load"]);
});

test("an abort in the last event of progress", { skip }, async () => {
  const controller = new AbortController();
  const options = { signal: controller.signal, threads: 2, onProgress: () => controller.abort("seen") };
  await assert.rejects(load(`${base}/file`, options), (error) => error === "seen");
  await until(() => threads.started && !threads.running);
  assert.equal(parsed, 0);
});

test("a signal that was aborted before", { skip }, async () => {
  await assert.rejects(load(`${base}/endless.onnx`, { signal: AbortSignal.abort("why") }), (error) => error === "why");
  assert.deepEqual(requests, []);
});

test("one compilation for each file", { skip }, async () => {
  const options = { wasm: `${base}/wasm/`, relaxed: false };
  for (const one of await Promise.allSettled([load(NO_MODEL, options), load(NO_MODEL, options)])) {
    assert.match(one.reason.message, /expected a file that mbert-onnx export wrote/);
  }
  await assert.rejects(load(NO_MODEL, options));
  assert.deepEqual(requests, ["/wasm/mbert.wasm"]);
});

test("a .wasm that is not there is asked for again", { skip }, async () => {
  const options = { wasm: `${base}/nothing/`, relaxed: false };
  const message = /\/nothing\/mbert.wasm cannot be loaded: the server answers 404/;
  await assert.rejects(load(NO_MODEL, options), { message });
  await assert.rejects(load(NO_MODEL, options), { message });
  assert.equal(requests.length, 2);
});

test("a number of threads that is none", { skip }, async () => {
  for (const threads of [0, -1, 1.5, "2", NaN]) {
    await assert.rejects(load(NO_MODEL, { threads }), {
      name: "RangeError",
      message: /^threads is .+; expected a whole number from 1 on$/,
    });
  }
});

test("threads of a failed load end", { skip }, async () => {
  await assert.rejects(load(NO_MODEL, { threads: 3 }), /expected a file that mbert-onnx export wrote/);
  assert.equal(threads.started, 2);
  await until(() => !threads.running);
});
