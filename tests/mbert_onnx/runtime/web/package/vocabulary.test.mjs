// Vocabularies: which vocab.txt is taken, and that it is kept with the model, so that masks are filled offline.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { readVocabulary } from "../../../../../mbert_onnx/runtime/web/package/lib/vocabulary.js";

const TOKENS = ["[PAD]", "[MASK]", "漢"];
const LINES = TOKENS.join("\n") + "\n";
const DIGEST = createHash("sha256").update(LINES).digest("hex");
const PAGE = "<!doctype html><title>app</title>"; // what some servers have for every address

let server, base, files;

before(async () => {
  server = createServer({ keepAliveTimeout: 0 }, ({ url }, response) =>
    response.writeHead(url in files ? 200 : 404).end(files[url]),
  );
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  base = `http://localhost:${server.address().port}/a/onnx/model.onnx`;
});

after(() => server.closeAllConnections());

const absent = { message: /^the model's vocab.txt is not beside it; give it/ };

test("the vocab.txt beside the model or one folder up, if it is the model's", async () => {
  files = { "/a/onnx/vocab.txt": PAGE, "/a/vocab.txt": LINES };
  assert.deepEqual(await readVocabulary(undefined, base, DIGEST), TOKENS);
  assert.deepEqual(await readVocabulary(undefined, base), TOKENS); // a file without the hash
  files = { "/a/onnx/vocab.txt": LINES.trimEnd() };
  assert.deepEqual(await readVocabulary(undefined, base, DIGEST), TOKENS);
  files = { "/a/vocab.txt": PAGE };
  await assert.rejects(readVocabulary(undefined, base), absent);
  await assert.rejects(readVocabulary(undefined, undefined, DIGEST), absent);
});

test("a vocabulary of the caller", async () => {
  assert.deepEqual(await readVocabulary(TOKENS, base, DIGEST), TOKENS);
  assert.deepEqual(await readVocabulary(new Blob([LINES]), base, DIGEST), TOKENS);
  assert.deepEqual(await readVocabulary(new Blob([LINES.replaceAll("\n", "\r\n")]), base, DIGEST), TOKENS);
  const message = "`vocabulary` has other tokens than the model; give its own";
  await assert.rejects(readVocabulary(new Blob(["[PAD]\n"]), base, DIGEST), { message });
  await assert.rejects(readVocabulary(["[PAD]"], base, DIGEST), { message });
  files = {};
  const missing = { message: /vocab.txt cannot be loaded: the server answers 404/ };
  await assert.rejects(readVocabulary(new URL("vocab.txt", base), base, DIGEST), missing);
});

test("it is kept in the cache, and read from there without a connection", async () => {
  const kept = new Map();
  const cache = {
    match: async ({ url }) => kept.get(url)?.clone(),
    put: async ({ url }, response) => kept.set(url, new Response(await response.arrayBuffer(), response)),
  };
  globalThis.caches = { open: async () => cache };
  files = { "/a/vocab.txt": LINES };
  await readVocabulary(undefined, base, DIGEST, { cache: true });
  while (!kept.size) await new Promise((resolve) => setTimeout(resolve, 20));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await readVocabulary(undefined, base, DIGEST, { cache: true }), TOKENS);
});
