// Keeps exactly the files of this app, for use without a connection. `mbert-onnx app web` writes their list below; with
// other files it has another build, and browsers install it in place of the old one.

const BUILD = "$build";
const FILES = $files;

const SCOPE = self.registration.scope;
const CACHE = `${SCOPE} ${BUILD}`;
const urlOf = (file) => new URL(file, SCOPE).href;

async function install() {
  const cache = await caches.open(CACHE);
  await Promise.all(
    FILES.map(async (file) => {
      const url = urlOf(file);
      // The content of a file with a version in its address never changes: the page, or an older build, may have it.
      const kept = url.includes("?v=") ? await caches.match(url) : undefined;
      const response = kept ?? (await fetch(url, { cache: "no-cache" }));
      if (!response.ok) throw new Error(`${file}: the server answers ${response.status}`);
      await cache.put(url, response);
    }),
  );
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(`${SCOPE} `) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const page = urlOf("./");
  const address = request.url.split("#")[0];
  const isPage = request.mode === "navigate" && [page, urlOf("index.html")].includes(address.split("?")[0]);
  return (await cache.match(isPage ? page : address)) ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(SCOPE)) event.respondWith(answer(event.request));
});
