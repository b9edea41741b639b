// Opens web apps in Chromium, each time in a new profile, and asks each of them at once. web_page.py starts it, with JSON
// on standard input: {"modules", "chromium", "apps": {name: folder}, "rounds"}. Prints JSON: for each app, the milliseconds
// of each visit from the arrival of the model's last byte, and from the start of the page, to the answer; of the tab's process
// the peak resident bytes, and those of them that no file backs ("own"), as Chromium's task manager counts; and the answers.
// For "empty", a page without an app, only the bytes.

import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { text } from "node:stream/consumers";

const { modules, chromium, apps, rounds } = JSON.parse(await text(process.stdin));
const require = createRequire(`${modules}/`);
const puppeteer = (await import(require.resolve("puppeteer-core"))).default;

const INTERVAL = 5; // ms between two looks at the memory
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };
const server = createServer(({ url }, response) => {
  const [, name, ...rest] = new URL(url, "http://host").pathname.split("/");
  const file = name in apps ? join(apps[name], rest.join("/") || "index.html") : "";
  const isThere = existsSync(file) && statSync(file).isFile();
  const headers = isThere ? { "Content-Length": statSync(file).size } : {};
  response.writeHead(isThere ? 200 : 404, { "Content-Type": TYPES[extname(file)] ?? "text/plain", ...headers });
  if (isThere) createReadStream(file).pipe(response);
  else response.end();
});
await new Promise((resolve) => server.listen(0, "localhost", resolve));

/** In the page: submits its form when that is there, and notes when the answer is. */
function askAtOnce() {
  new MutationObserver(() => {
    const actions = document.getElementById("actions");
    if (actions && !actions.hidden && !window.asked) {
      window.asked = true;
      document.getElementById("form").requestSubmit();
    }
    const isThere = /Took/.test(document.getElementById("status")?.textContent);
    if (isThere || document.getElementById("error")?.textContent) window.answered ??= performance.timeOrigin + performance.now();
  }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}

/** In the worker: when the last byte of the model arrived. */
function modelArrived() {
  const [entry] = performance.getEntriesByType("resource").filter(({ name }) => /\.onnx\b/.test(name));
  return performance.timeOrigin + entry.responseEnd;
}

async function visit(name) {
  const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(askAtOnce);
    const watch = watchTabs(browser);
    await page.goto(`http://localhost:${server.address().port}/${name}/`);
    const found = {};
    if (name in apps) {
      await page.waitForFunction(() => window.answered, { timeout: 120_000, polling: 20 });
      const error = await page.$eval("#error", (node) => node.textContent);
      if (error) throw new Error(`${name}: ${error}`);
      const [answered, began] = await page.evaluate(() => [window.answered, performance.timeOrigin]);
      const arrived = await page.workers()[0].evaluate(modelArrived);
      Object.assign(found, { afterModel: answered - arrived, afterStart: answered - began });
      found.answer = await page.$eval(".option .name", (node) => node.textContent);
    }
    return { ...found, ...(await watch.peaks()) };
  } finally {
    await browser.close();
  }
}

/** The system's status of a process; empty if it has ended. */
function statusOf(id) {
  try {
    return readFileSync(`/proc/${id}/status`, "utf8");
  } catch {
    return "";
  }
}

/** Watches the browser's processes for pages. peaks(): the largest peak resident size so far, and that of its own memory. */
function watchTabs(browser) {
  const peaks = { peak: 0, own: 0 };
  const look = async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    for (const { id } of processInfo.filter(({ type }) => type === "renderer")) {
      const status = statusOf(id);
      const [peak, own] = ["VmHWM", "RssAnon"].map((key) => 1024 * Number(new RegExp(`^${key}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0));
      peaks.peak = Math.max(peaks.peak, peak);
      peaks.own = Math.max(peaks.own, own); // a peak that no system keeps
    }
  };
  let session;
  let isOver = false;
  const watching = (async () => {
    session = await browser.target().createCDPSession();
    while (!isOver) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  })();
  return {
    async peaks() {
      isOver = true;
      await watching;
      await look();
      return peaks;
    },
  };
}

const visits = Object.fromEntries(["empty", ...Object.keys(apps)].map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  // The order changes from round to round, so that no app always follows the same one.
  const names = round % 2 ? Object.keys(visits).reverse() : Object.keys(visits);
  for (const name of names) visits[name].push(await visit(name));
}
server.close();
console.log(JSON.stringify(visits));
process.exit(0);
