// Visits a web app in Chromium as a user does, and prints what is seen as JSON.
//
// node visit.mjs NODE_MODULES CHROMIUM FOLDER < visit.json
//
// NODE_MODULES has puppeteer-core and axe-core. visit.json: {"values": [the values of the fields, null: as they are]}.

import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { text } from "node:stream/consumers";

const [modules, executablePath, folder] = process.argv.slice(2);
const { values } = JSON.parse(await text(process.stdin));
const require = createRequire(`${modules}/`);
const puppeteer = (await import(require.resolve("puppeteer-core"))).default;
const axe = readFileSync(require.resolve("axe-core"), "utf8");

// As static hosts serve it, below a path, without special headers.
const PREFIX = "/some/where/";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const requests = [];
const server = createServer(({ url }, response) => {
  const path = new URL(url, "http://host").pathname;
  const name = path.slice(PREFIX.length) || "index.html";
  const file = join(folder, name);
  requests.push(name);
  const isThere = path.startsWith(PREFIX) && existsSync(file) && statSync(file).isFile();
  response.writeHead(isThere ? 200 : 404, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" });
  if (isThere) createReadStream(file).pipe(response);
  else response.end();
});
await new Promise((resolve) => server.listen(0, "localhost", resolve));
const address = `http://localhost:${server.address().port}${PREFIX}`;

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
const messages = [];
page.on("console", (message) => messages.push(message.text()));
page.on("pageerror", (error) => messages.push(error.message));
await page.exposeFunction("violated", (what) => messages.push(`content security policy: ${what}`));
await page.evaluateOnNewDocument(() =>
  document.addEventListener("securitypolicyviolation", (event) => violated(`${event.violatedDirective} ${event.blockedURI}`)),
);

const textOf = (selector) => page.$eval(selector, (node) => node.textContent);
const textsOf = (selector) => page.$$eval(selector, (nodes) => nodes.map((node) => node.textContent));
const until = (condition) => page.waitForFunction(condition, { timeout: 60_000 });

/** Opens the page, fills its fields, and runs the model by the keyboard alone. */
async function answer() {
  await page.goto(address);
  await until(() => document.getElementById("status").textContent === "Ready." || document.getElementById("error").textContent);
  await page.$$eval(
    "input, textarea",
    (fields, values) => values.forEach((value, place) => value !== null && (fields[place].value = value)),
    values,
  );
  for (let place = 0; place < 50 && (await page.evaluate(() => document.activeElement.id)) !== "run"; place++) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await until(() => /Took/.test(document.getElementById("status").textContent) || document.getElementById("error").textContent);
  return {
    status: await textOf("#status"),
    error: await textOf("#error"),
    names: await textsOf(".option .name"),
    values: await textsOf(".option .value"),
    marks: await textsOf("mark"),
    cells: await textsOf("tbody td"),
  };
}

/** What axe-core finds, and whether the page is wider than its window. */
async function accessibility(scheme, width) {
  await page.setViewport({ width, height: 740 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.evaluate(axe);
  const rules = await page.evaluate(async () => (await axe.run()).violations.map((one) => `${one.id}: ${one.nodes[0].html}`));
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  return [...rules, ...(isWide ? [`wider than ${width} pixels`] : [])];
}

const online = await answer();
const faults = [...(await accessibility("light", 360)), ...(await accessibility("dark", 900))];
const title = await page.title();
await until(() => document.getElementById("offline").textContent);
const first = [...requests];
await new Promise((resolve) => {
  server.close(resolve);
  server.closeAllConnections();
});
const offline = await answer();
await browser.close();
console.log(JSON.stringify({ title, online, offline, faults, messages, requests: first }));
