// Large files: stored in the cache of the service worker as they arrive, so that none is downloaded twice.

const BASE = new URL("..", import.meta.url);
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
  if (cache) storing.set(url, cache.put(url, response.clone()).catch(() => {})); // no room: the page needs a connection
  return response;
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
