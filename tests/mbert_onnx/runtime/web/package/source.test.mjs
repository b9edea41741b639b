// Sources: addresses, responses, bytes and paths; progress; the cache; aborted downloads.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

import { open, read } from "../../../../../mbert_onnx/runtime/web/package/lib/source.js";

const CONTENT = Buffer.from("0123456789".repeat(1000));
// What the server does for each path, and the requests that it saw.
const answers = {
  "/sized": (response) => response.writeHead(200, { "Content-Length": CONTENT.length }).end(CONTENT),
  "/unsized": (response) => response.writeHead(200).end(CONTENT),
  "/compressed": (response) => response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync(CONTENT)),
  "/broken": (response) => {
    response.writeHead(200, { "Content-Length": CONTENT.length });
    response.write(CONTENT.subarray(0, 100), () => response.destroy());
  },
  "/endless": (response) =>
    response.writeHead(200, { "Content-Length": CONTENT.length }).write(CONTENT.subarray(0, 100)),
};
const requests = [];
let etag = '"1"';
answers["/versioned"] = (response, method) =>
  response.writeHead(200, { ETag: etag, "Content-Length": CONTENT.length }).end(method === "HEAD" ? null : CONTENT);

let server, base, folder;

before(async () => {
  // The server closes no connection that is idle, because a request on it would fail.
  server = createServer({ keepAliveTimeout: 0 }, ({ method, url }, response) => {
    requests.push(`${method} ${url}`);
    (answers[url] ?? (() => response.writeHead(404).end()))(response, method);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  base = `http://localhost:${server.address().port}`;
  folder = await mkdtemp(join(tmpdir(), "mbert-onnx-web-"));
  await writeFile(join(folder, "a file é.onnx"), CONTENT);
});

after(async () => {
  delete globalThis.caches;
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

async function contentOf(source, options = {}) {
  const opened = await open(source, options);
  const chunks = [];
  await read(opened, options, (chunk) => chunks.push(chunk.slice())); // its buffer is used again
  await opened.keep?.();
  return { ...opened, content: Buffer.concat(chunks) };
}

test("every kind of source", async () => {
  const path = join(folder, "a file é.onnx");
  const shared = new Uint8Array(new SharedArrayBuffer(CONTENT.length));
  shared.set(CONTENT);
  const sources = [
    `${base}/sized`,
    new URL(`${base}/unsized`),
    new Request(`${base}/sized`),
    await fetch(`${base}/sized`),
    new Blob([CONTENT]),
    CONTENT,
    new Uint8Array(CONTENT),
    new Uint8Array(CONTENT).buffer,
    shared,
    shared.buffer,
    path,
    pathToFileURL(path),
    String(pathToFileURL(path)),
    `data:,${CONTENT}`,
  ];
  for (const source of sources) assert.deepEqual((await contentOf(source)).content, CONTENT);
  assert.equal((await open(path)).address, String(pathToFileURL(path)));
});

test("progress has a total only where the length is that of the file", async () => {
  for (const [path, total] of [
    ["/sized", CONTENT.length],
    ["/unsized", null],
    ["/compressed", null],
    [join(folder, "a file é.onnx"), CONTENT.length],
    [new Blob([CONTENT]), CONTENT.length],
    [CONTENT, CONTENT.length],
  ]) {
    const seen = [];
    await contentOf(path in answers ? base + path : path, { onProgress: (one) => seen.push(one) });
    assert.equal(seen.at(-1).loaded, CONTENT.length);
    assert.ok(
      seen.every((one) => one.total === total),
      String(path),
    );
  }
  // Of another origin, Content-Encoding may be hidden: the length is that of the compressed bytes.
  const seen = [];
  const response = new Response(CONTENT, { headers: { "Content-Length": 10 } });
  await contentOf(response, { onProgress: (one) => seen.push(one) });
  assert.deepEqual(seen.at(-1), { loaded: CONTENT.length, total: null });
});

test("progress never goes back, and ends at the size of the file", async () => {
  const pieces = new ReadableStream({
    start(stream) {
      for (let begin = 0; begin < CONTENT.length; begin += 300) stream.enqueue(CONTENT.subarray(begin, begin + 300));
      stream.close();
    },
  });
  for (const source of [`${base}/sized`, `${base}/unsized`, new Response(pieces)]) {
    const seen = [0];
    await contentOf(source, { onProgress: ({ loaded }) => seen.push(loaded) });
    assert.ok(
      seen.every((loaded, place) => !place || loaded > seen[place - 1]),
      String(seen),
    );
    assert.equal(seen.at(-1), CONTENT.length);
  }
});

test("errors name the address and the cause", async () => {
  await assert.rejects(open(`${base}/nothing`), {
    name: "Error",
    message: /\/nothing cannot be loaded: the server answers 404; check/,
  });
  await assert.rejects(open("http://localhost:1/x"), {
    name: "Error",
    message: /^http:\/\/localhost:1\/x cannot be loaded: .+; check/,
  });
  await assert.rejects(open(join(folder, "absent")), /absent cannot be loaded: ENOENT/);
  await assert.rejects(contentOf(`${base}/broken`), /\/broken cannot be loaded/);
  await assert.rejects(open("http://"), { message: /^http:\/\/ cannot be loaded: .+; check address/ });
  await assert.rejects(open(new Response(null)), /^.*the server answers 200 without content$/);
  for (const source of [undefined, null, 5, {}]) {
    await assert.rejects(open(source), {
      name: "TypeError",
      message: /^the source is (undefined|null|5|number|object); expected an address or bytes$/,
    });
  }
});

test("an aborted download stops", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const opened = await open(`${base}/endless`, { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 20);
  await assert.rejects(read(opened, { signal: controller.signal }, () => {}));
  const given = new Response(new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(10)) }));
  let count = 0;
  const another = new AbortController();
  const stop = () => ++count === 3 && another.abort(reason);
  await assert.rejects(
    read({ response: given }, { signal: another.signal, onProgress: stop }, () => {}),
    reason,
  );
});

/** A cache that does what the Cache API does with responses that it can keep. */
class FakeCache {
  kept = new Map();

  async match(request) {
    return this.kept.get(request.url)?.clone();
  }

  async put(request, response) {
    const content = await response.arrayBuffer();
    this.kept.set(request.url, new Response(content, { headers: response.headers }));
  }
}

test("the cache keeps a file until its version changes", async () => {
  const cache = new FakeCache();
  globalThis.caches = { open: async () => cache };
  const load = async () => {
    requests.length = 0;
    const { isCached: cached = false, content } = await contentOf(`${base}/versioned`, { cache: true });
    assert.deepEqual(content, CONTENT);
    return [cached, ...requests];
  };
  assert.deepEqual(await load(), [false, "GET /versioned"]);
  assert.deepEqual(await load(), [true, "HEAD /versioned"]);
  etag = '"2"';
  assert.deepEqual(await load(), [false, "HEAD /versioned", "GET /versioned"]);
  assert.deepEqual(await load(), [true, "HEAD /versioned"]);
  requests.length = 0;
  await contentOf(`${base}/versioned`); // without `cache`
  assert.deepEqual(requests, ["GET /versioned"]);
});

test("what is kept serves where there is no connection", async () => {
  const cache = new FakeCache();
  globalThis.caches = { open: async () => cache };
  let answer = (response) => response.end("kept");
  const gone = createServer(({ method }, response) => answer(response, method));
  await new Promise((resolve) => gone.listen(0, "localhost", resolve));
  const url = `http://localhost:${gone.address().port}/`;
  await contentOf(url, { cache: true });
  for (const [head, get, expected] of [
    [503, 503, "kept"],
    [405, 200, "kept"],
    [405, 404, null],
  ]) {
    answer = (response, method) => response.writeHead(method === "HEAD" ? head : get).end("kept".repeat(get === 200));
    const found = contentOf(url, { cache: true });
    if (expected) assert.equal(String((await found).content), expected);
    else await assert.rejects(found, /the server answers 404/);
  }
  gone.closeAllConnections();
  await new Promise((resolve) => gone.close(resolve));
  const { isCached, content } = await contentOf(url, { cache: true });
  assert.ok(isCached);
  assert.equal(String(content), "kept");
});

test("the cache gets no error, no opaque response and no part of a file", async (context) => {
  const cache = new FakeCache();
  globalThis.caches = { open: async () => cache };
  const options = { cache: true };
  await assert.rejects(contentOf(`${base}/nothing`, options), /the server answers 404/);
  await assert.rejects(contentOf(`${base}/broken`, options), /\/broken cannot be loaded/);
  const controller = new AbortController();
  const abort = { signal: controller.signal, onProgress: () => controller.abort("enough") };
  await assert.rejects(contentOf(`${base}/endless`, { ...options, ...abort }));
  // Node makes no opaque response, which a browser has for `no-cors`: status 0, and nothing can be read.
  context.mock.method(globalThis, "fetch", async () =>
    Object.defineProperty(Response.error(), "type", { value: "opaque" }),
  );
  await assert.rejects(contentOf(`${base}/sized`, options), /the server answers 0/);
  assert.deepEqual([...cache.kept.keys()], []);
});

test("no failure of the cache fails a load", async () => {
  const failing = async () => {
    throw new DOMException("no room", "QuotaExceededError");
  };
  for (const caches of [undefined, { open: failing }, { open: async () => ({ match: failing, put: failing }) }]) {
    globalThis.caches = caches;
    assert.deepEqual((await contentOf(`${base}/versioned`, { cache: true })).content, CONTENT);
  }
});
