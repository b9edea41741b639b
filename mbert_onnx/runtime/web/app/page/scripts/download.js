// Large files: stored in the cache of the service worker as they arrive, so that none is downloaded twice.

const BASE = new URL("..", import.meta.url);
const CHUNK = 1 << 18; // bytes, for readers that bring no buffer
const storing = new Map(); // by address
const nameOf = (file) => file.url.split("?")[0];

/** Opens a file. settings: app.json. file: {url, bytes}, the path in the app's folder, and its size. Returns a Response. */
export async function open(settings, file) {
  const url = new URL(file.url, BASE).href;
  const cache = await stored(settings);
  const kept = await cache?.match(url);
  if (kept) return kept;
  const response = await fetch(url).catch(() => {
    throw new Error(`${nameOf(file)} cannot be loaded: there is no connection to the server.`);
  });
  const { ok, status } = response;
  if (!ok) throw new Error(`${nameOf(file)} cannot be loaded: the server answers ${status}. Upload the whole folder again.`);
  if (!cache) return response;
  return copied(response, (copy) => storing.set(url, cache.put(url, copy).catch(() => {}))); // no room: the page needs a connection
}

/**
 * Returns a response with the content of another one. keep(copy) gets a second one: when the first has been read, and of
 * blobs, which are outside of the page's memory. Where the browser cannot read into a given buffer, it is a clone, whose
 * chunks stay in the page's memory for a while.
 */
function copied(response, keep) {
  const { body, headers } = response;
  let reader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    keep(response.clone());
    return response;
  }
  const parts = [];
  const pull = async (controller) => {
    const { done, value } = await reader.read(controller.byobRequest.view);
    if (done) {
      controller.close();
      // Behind what waits for the last bytes: the model starts first.
      setTimeout(() => keep(new Response(new Blob(parts), { headers })));
    } else {
      parts.push(new Blob([value]));
    }
    controller.byobRequest.respondWithNewView(value);
  };
  const cancel = (reason) => reader.cancel(reason);
  const stream = new ReadableStream({ type: "bytes", autoAllocateChunkSize: CHUNK, pull, cancel });
  return new Response(stream, { headers });
}

/** Returns the bytes of a file. settings, file: as `open` takes them. onProgress(bytes): bytes so far. */
export async function download(settings, file, onProgress) {
  const response = await open(settings, file);
  const bytes = new Uint8Array(file.bytes);
  const reader = response.body.getReader();
  let place = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (place + value.length <= bytes.length) bytes.set(value, place);
    place += value.length;
    onProgress(place);
  }
  await checkSize(settings, file, place);
  return bytes;
}

/** Throws an error if a file has not as many bytes as it should, and does not keep it. */
export async function checkSize(settings, file, bytes) {
  if (bytes === file.bytes) return;
  const url = new URL(file.url, BASE).href;
  await storing.get(url);
  await (await stored(settings))?.delete(url);
  throw new Error(`${nameOf(file)} has ${bytes} bytes on the server, expected ${file.bytes}. Upload the whole folder again.`);
}

/** Opens the cache; returns null where the browser has none: without https, or in private windows. */
async function stored({ build }) {
  try {
    return await caches.open(`${BASE} ${build}`);
  } catch {
    return null;
  }
}
