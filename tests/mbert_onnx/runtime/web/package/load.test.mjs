// `load`: which .wasm is fetched, how often, and what stops it. The .wasm files must be built; else these tests are skipped.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";

import { load } from "../../../../../mbert_onnx/runtime/web/package/lib/index.js";

const FOLDER = new URL("../../../../../mbert_onnx/runtime/web/package/wasm/", import.meta.url);
const skip = existsSync(new URL("mbert.wasm", FOLDER)) ? false : "the .wasm files are not built";
const NO_MODEL = new Uint8Array([1, 2, 3]);

let server, base, requests, closed;

before(async () => {
  server = createServer(async ({ url }, response) => {
    requests.push(url);
    response.on("close", () => closed.push(url));
    if (url.startsWith("/wasm/")) response.end(await readFile(new URL(url.slice(6), FOLDER)));
    else if (url.startsWith("/endless")) response.writeHead(200).write("begin");
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  base = `http://localhost:${server.address().port}`;
});

beforeEach(() => {
  requests = [];
  closed = [];
});

after(() => {
  server.closeAllConnections();
  server.close();
});

/** Starts a load, and aborts it when isReady(): it rejects with the reason, long before it would end. */
async function aborted(source, options = {}, isReady = () => true) {
  const controller = new AbortController();
  const reason = new Error("enough");
  const loading = load(source, { ...options, signal: controller.signal });
  const abort = () => (isReady() ? controller.abort(reason) : setTimeout(abort, 20));
  setTimeout(abort, 100);
  await assert.rejects(loading, reason);
}

test("an aborted download", { skip }, async () => {
  await aborted(`${base}/endless.onnx`, {}, () => requests.length);
  for (let tries = 0; tries < 100 && !closed.length; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(closed, ["/endless.onnx"]);
});

test("an aborted compilation", { skip }, () => aborted(NO_MODEL, { wasm: `${base}/endless/` }));

test("a response of the caller that never ends", { skip }, () => aborted(new Response(new ReadableStream())));

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
});
