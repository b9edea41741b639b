// Sources of files: bytes, responses, addresses, and paths in Node. All are read as responses; the Cache API keeps those
// of servers, if the caller asks for it.

import { abortable, check } from "./checks.js";

export const isNode = globalThis.process?.versions?.node;

export const nothing = () => null;
// Bytes of the buffer into which files are read.
const ROOM = 1e6;

/** A module of Node. Its name is no literal, because bundlers for browsers would look for it. */
export const node = (name) => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);

/** Opens a source: {response, url, cached, keep(blobs)}. keep, where there is a cache: puts the content that was read into it. */
export async function open(source, { signal, cache } = {}) {
  if (source instanceof Response) return { response: readable(source), url: source.url };
  if ((source?.byteLength ?? source?.size) >= 0) return { response: new Response(source) };
  const request = source instanceof Request ? source : new Request(await addressOf(source));
  const { url } = request;
  return { url, ...(await fetched(request, signal, cache).catch(failure(url))) };
}

/** The address of a string or URL: in Node a path is one, too. */
export async function addressOf(source) {
  const isText = typeof source === "string";
  check(
    isText || source instanceof URL,
    `the source is ${source && typeof source}; expected an address or bytes`,
    TypeError,
  );
  if (!isText || /^\w\w+:/.test(source)) return source;
  return isNode ? (await node("url")).pathToFileURL(source) : new URL(source, location);
}

async function fetched(request, signal, cache) {
  if (isNode && request.url.startsWith("file:")) {
    return { response: new Response(await (await node("fs/promises")).readFile(new URL(request.url))) };
  }
  const store = cache && (await globalThis.caches?.open("mbert-onnx-web").catch(nothing));
  const kept = await store?.match(request).catch(nothing);
  if (kept) {
    // What is kept is right if the server has the same version, or cannot be reached.
    const head = await fetch(request, { method: "HEAD", cache: "no-cache", signal }).catch(nothing);
    if (!head || isSame(head.headers, kept.headers)) return { response: kept, cached: true };
  }
  const response = readable(await fetch(request, { signal }));
  // Without room, the next load fetches it again.
  return {
    response,
    keep: store && ((parts) => store.put(request, new Response(new Blob(parts), response)).catch(nothing)),
  };
}

function isSame(one, other) {
  const name = ["etag", "last-modified", "content-length"].find((key) => one.has(key) && other.has(key));
  return name && one.get(name) === other.get(name);
}

function readable(response) {
  check(response.ok, `the server answers ${response.status}`, Error);
  return response;
}

/** A function that throws what an error means for an address. */
const failure = (url) => (cause) => {
  const error = `${url} cannot be loaded: ${cause.cause?.message ?? cause.message}; check address and connection`;
  throw new Error(error, { cause });
};

/**
 * Reads an opened source: write(chunk, length). A chunk is valid until `write` returns. length: of the whole, 0 if that is
 * unknown.
 */
export async function read({ response: { body, headers }, url, keep }, { signal, onProgress }, write) {
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
  const parts = keep && [];
  try {
    for (let loaded = 0; ;) {
      signal?.throwIfAborted();
      const chunk = reader.read(new Uint8Array(room)).catch(failure(url));
      const { done, value } = await abortable(chunk, signal);
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
  await keep?.(parts);
  signal?.throwIfAborted();
}
