// Sources of files: bytes, responses, addresses, and paths in Node. All are read as responses; the Cache API keeps those
// of servers, if the caller asks for it.

import { abortable, check, Error, Response, scope, TypeError, Uint8Array } from "./checks.js";

export const isNode = scope.process?.versions?.node;

export const nothing = () => null;
// Bytes of the buffer into which files are read.
const ROOM = 1e6;
// The least status that tells of a server, not of the request.
const FAILS = 500;

/** A module of Node. Its name is no literal, because bundlers for browsers would look for it. */
export const node = (name) => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);

/**
 * Opens a source: {response, address, isCached, parts, keep()}. parts, keep: where there is a cache; `keep` puts into it what the
 * caller has read from the response, and added to `parts`, once that is known to be right.
 */
export async function open(source, { signal, cache } = {}) {
  if (source instanceof Response) return { response: readable(source), address: source.url };
  const size = source?.byteLength ?? source?.size;
  if (size >= 0) {
    // Responses take no shared memory.
    const buffer = source.buffer ?? source;
    const content = /Shared/.test(buffer) ? new Uint8Array(buffer, source.byteOffset, size).slice() : source;
    return { response: new Response(content, { headers: { "content-length": size } }) };
  }
  const request = await requestOf(source);
  const { url: address } = request;
  return { address, ...(await fetched(request, signal, cache).catch(failure(address))) };
}

/** The request for a string or URL: in Node a path is one, too. */
export async function requestOf(source) {
  if (source instanceof Request) return source;
  const isText = typeof source === "string";
  check(
    isText || source instanceof URL,
    `the source is ${source && typeof source}; expected an address or bytes`,
    TypeError,
  );
  const isPath = isNode && isText && !/^\w\w+:/.test(source);
  const address = isPath ? (await node("url")).pathToFileURL(source) : source;
  try {
    return new Request(address);
  } catch (error) {
    return failure(source)(error);
  }
}

async function fetched(request, signal, cache) {
  if (isNode && request.url.startsWith("file:"))
    return open(await (await node("fs/promises")).readFile(new URL(request.url)));
  const store = cache && (await scope.caches?.open("mbert-onnx-web").catch(nothing));
  const kept = await store?.match(request).catch(nothing);
  let answer;
  if (kept) {
    // What is kept is right if the server has the same version, fails, or cannot be reached. HEAD brings no file, but some
    // servers do not answer it, or not to other origins.
    const opened = { response: kept, isCached: true };
    const version = ["etag", "last-modified", "content-length"].find((name) => kept.headers.has(name));
    for (const method of ["HEAD", "GET"]) {
      answer = await fetch(request, { method, cache: "no-cache", signal }).catch(nothing);
      if (version && answer?.headers.get(version) === kept.headers.get(version)) {
        answer.body?.cancel();
        return opened;
      }
    }
    if (!(answer?.status < FAILS)) return opened;
  } else answer = await fetch(request, { signal });
  const response = readable(answer);
  const parts = store && [];
  // Without room, the next load fetches it again.
  return { response, parts, keep: () => store?.put(request, new Response(new Blob(parts), response)).catch(nothing) };
}

function readable(response) {
  const without = response.ok ? " without content" : "";
  check(response.ok && response.body, `the server answers ${response.status}${without}`, Error);
  return response;
}

/** A function that throws what an error means for an address. others: more advice. */
export const failure =
  (url, others = "") =>
  (cause) => {
    throw new Error(
      `${url} cannot be loaded: ${cause.cause?.message ?? cause.message}; check address and network${others}`,
    );
  };

/**
 * Reads an opened source: write(chunk, length). A chunk is valid until `write` returns. length: of the whole, 0 if that is
 * unknown.
 */
export async function read({ response: { body, headers }, address, parts }, { signal, onProgress }, write) {
  // The length of a compressed response is not that of the file; other origins may hide that it is compressed.
  const length = headers.has("content-encoding") ? 0 : +headers.get("content-length");
  // One buffer for all chunks, where the engine has this for the body: else they are garbage, in all as large as the file.
  // Other readers take no notice of it. Blobs for the cache are outside of a page's memory, unlike what a clone has queued.
  let reader;
  let room = new ArrayBuffer(ROOM);
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    reader = body.getReader();
  }
  try {
    for (let loaded = 0; ;) {
      const { done, value } = await abortable(() => reader.read(new Uint8Array(room)).catch(failure(address)), signal);
      if (done) break;
      write(value, length);
      parts?.push(new Blob([value]));
      room = value.buffer;
      loaded += value.length;
      onProgress?.({ loaded, total: loaded <= length ? length : null });
    }
  } finally {
    reader.cancel().catch(nothing); // nobody reads the rest after an abort, or without memory for it
  }
}
