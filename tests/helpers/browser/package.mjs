// Runs the package mbert-onnx-web in a browser: in a page, a Worker and a service worker; prints the results as JSON.
//
// node package.mjs NODE_MODULES chrome|firefox EXECUTABLE < {"package": a folder, "entry": its module, "model": a file,
// "calls": [[method, ...arguments]], "isolated": whether the page is cross-origin isolated, "options": of load,
// "bundler": esbuild, which makes the service worker a classic script, for browsers without modules there; or null}

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { text } from "node:stream/consumers";

const [modules, browserName, executablePath] = process.argv.slice(2);
const { package: folder, entry, model, calls, isolated, options, bundler } = JSON.parse(await text(process.stdin));
const require = createRequire(`${modules}/`);
const puppeteer = (await import(require.resolve("puppeteer-core"))).default;

// What page and workers run: a load with progress, the calls, a model that is disposed of.
const asking = (module) => `
import { load } from "${module}";
export async function ask(url, calls, options) {
  const progress = [];
  const model = await load(url, { ...options, onProgress: (one) => progress.push(one) });
  const results = [];
  for (const [method, ...given] of calls) results.push(await model[method](...given));
  const { info } = model;
  model.dispose();
  const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value, Number) : value);
  return JSON.parse(JSON.stringify({ info, results, memory: model.memory, last: progress.at(-1) }, plain));
}`;
const IMPORT = `import { ask } from "/ask.js";`;
const ANSWER = `const answer = (given) => ask(...given).catch(({ message }) => ({ error: message }));`;
const SERVICE = `
self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
self.addEventListener("message", (event) => event.waitUntil(answer(event.data).then((found) => event.source.postMessage(found))));`;
// As docs/web-package.md says.
const bundled = () =>
  execFileSync(bundler, ["--bundle", "--format=iife", "--define:import.meta.url=location.href"], {
    input: `${asking(join(folder, entry))}\n${ANSWER}${SERVICE}`,
    encoding: "utf-8",
  });
const TEXTS = {
  "/": `<!doctype html><title>package</title><link rel="icon" href="data:,">`,
  "/ask.js": asking(`/package/${entry}`),
  "/worker.js": `${IMPORT}${ANSWER} onmessage = async ({ data }) => postMessage(await answer(data));`,
  "/service-worker.js": bundler ? bundled() : `${IMPORT}${ANSWER}${SERVICE}`,
};
const TYPES = { "": "text/html", ".js": "text/javascript" }; // .wasm has no type, as on many servers
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const requests = [];
const server = createServer(({ method, url }, response) => {
  requests.push(`${method} ${url}`);
  const file = url.startsWith("/package/") ? join(folder, url.slice(9)) : join(dirname(model), url.slice(7));
  const found = TEXTS[url] !== undefined || (existsSync(file) && statSync(file).isFile());
  const size = TEXTS[url] === undefined && found ? { "Content-Length": statSync(file).size, ETag: '"1"' } : {};
  const headers = {
    "Content-Type": TYPES[extname(url)] ?? "application/octet-stream",
    ...size,
    ...(isolated && ISOLATION),
  };
  response.writeHead(found ? 200 : 404, headers);
  if (TEXTS[url] !== undefined || !found || method === "HEAD") response.end(TEXTS[url]);
  else createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "localhost", resolve));
const address = `http://localhost:${server.address().port}`;
const url = `${address}/model/${model.split("/").pop()}`;

const args = browserName === "chrome" ? ["--no-sandbox", "--disable-gpu"] : [];
const browser = await puppeteer.launch({ browser: browserName, executablePath, headless: true, args });
const page = await browser.newPage();
const messages = [];
page.on("console", (message) => messages.push(message.text()));
page.on("pageerror", (error) => messages.push(error.message));
await page.goto(`${address}/`);

const given = [url, calls, options];
const inPage = await page.evaluate(
  async (given) => (await import("/ask.js")).ask(...given).catch(({ message }) => ({ error: message })),
  given,
);
const inWorker = await page.evaluate(
  (given) =>
    new Promise((resolve, reject) => {
      const worker = new Worker("/worker.js", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(given);
    }),
  given,
);
const service = bundler ? {} : { type: "module" };
const place = bundler ? { wasm: `${address}/package/wasm/` } : {};
const inServiceWorker = await page.evaluate(async (given, service) => {
  await navigator.serviceWorker.register("/service-worker.js", service);
  const { active } = await navigator.serviceWorker.ready;
  return new Promise((resolve) => {
    navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
    active.postMessage(given);
  });
}, [url, calls, { ...options, ...place }], service);
const version = await browser.version();
await browser.close();
server.close();
console.log(JSON.stringify({ version, inPage, inWorker, inServiceWorker, messages, requests }));
