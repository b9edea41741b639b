// Large files: stored in the cache of the service worker as they arrive, so that none is downloaded twice.

/**
 * Returns the bytes of a file.
 *
 * settings: app.json. file: {url, bytes}, the path in the app's folder, and its size. onProgress(bytes): bytes so far.
 */
export async function download(settings, file, onProgress) {
  const base = new URL("..", import.meta.url);
  const url = new URL(file.url, base).href;
  const name = file.url.split("?")[0];
  const cache = await stored(`${base} ${settings.build}`);
  const kept = await cache?.match(url);
  let response = kept;
  if (!response) {
    try {
      response = await fetch(url);
    } catch {
      throw new Error(`${name} cannot be loaded: there is no connection to the server.`);
    }
    if (!response.ok) {
      throw new Error(`${name} cannot be loaded: the server answers ${response.status}. Upload the whole folder again.`);
    }
  }
  const bytes = await read(response, file.bytes, name, onProgress);
  if (!kept) await cache?.put(url, new Response(bytes)).catch(() => {}); // no room: the page needs a connection
  return bytes;
}

/** Opens a cache; returns null where the browser has none: without https, or in private windows. */
async function stored(name) {
  try {
    return await caches.open(name);
  } catch {
    return null;
  }
}

async function read(response, size, name, onProgress) {
  const bytes = new Uint8Array(size);
  const reader = response.body.getReader();
  let place = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (place + value.length <= size) bytes.set(value, place);
    place += value.length;
    onProgress(place);
  }
  if (place !== size) {
    throw new Error(`${name} has ${place} bytes on the server, expected ${size}. Upload the whole folder again.`);
  }
  return bytes;
}
