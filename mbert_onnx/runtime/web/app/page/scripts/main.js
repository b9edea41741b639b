// The page: settings, the form of the task, the model, and its answers.

import { Model } from "./model.js";
import { keepFiles } from "./offline.js";

const MEGABYTE = 1e6;
const MISSING = "cannot be loaded. Check the connection, and that the whole folder is on the server.";
const find = (id) => document.getElementById(id);
const say = (text) => (find("status").textContent = text);
const fail = (error) => {
  say("");
  find("download").hidden = true;
  find("error").textContent = error.message;
};

async function readSettings() {
  const response = await fetch(new URL("../app.json", import.meta.url), { cache: "no-cache" }).catch(() => null);
  if (!response?.ok) throw new Error(`app.json ${MISSING}`);
  return response.json();
}

function showProgress(loaded, total) {
  find("download").hidden = false;
  find("progress").value = loaded / total;
  const text = `${(loaded / MEGABYTE).toFixed(0)} of ${(total / MEGABYTE).toFixed(0)} MB`;
  find("downloaded").textContent = loaded < total ? text : "Starting the model …";
}

/** Marks a field as wrong or right, for screen readers, too. */
function mark(input, isWrong) {
  input.ariaInvalid = String(isWrong);
  if (isWrong) input.setAttribute("aria-describedby", "error");
  else input.removeAttribute("aria-describedby");
}

/** Runs the task on what the fields hold, and shows the answer. */
async function answer(task, model) {
  find("error").textContent = "";
  const empty = task.inputs().find((input) => !input.value.trim());
  for (const input of task.inputs()) mark(input, input === empty);
  if (empty) {
    empty.focus();
    throw new Error(`“${empty.labels[0]?.textContent ?? empty.ariaLabel}” is empty. Write some text.`);
  }
  const feeds = task.feeds();
  say("Working …");
  await model.ready;
  const began = performance.now();
  const outputs = [];
  for (const one of feeds) outputs.push(await model.run(one));
  const milliseconds = Math.round(performance.now() - began);
  const { summary, nodes } = task.show(outputs);
  find("answer").replaceChildren(...nodes);
  find("results").hidden = false;
  say(`${summary}. Took ${milliseconds} ms.`);
}

async function start() {
  find("starting").remove();
  say("Loading the model …");
  const settings = await readSettings();
  const name = `tasks/${settings.page}.js`;
  const { create } = await import(`./${name}`).catch(() => {
    throw new Error(`scripts/${name} ${MISSING}`);
  });
  const task = await create(settings);
  find("purpose").textContent = task.purpose;
  find("run").textContent = task.action;
  find("fields").replaceChildren(...task.fields);
  find("actions").hidden = false;
  const model = new Model(settings, showProgress);
  let running = false;
  const run = async () => {
    if (running) return;
    running = true;
    await answer(task, model).catch(fail);
    running = false;
  };
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  find("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  await model.ready;
  find("download").hidden = true;
  if (!running) say("Ready.");
  await keepFiles(() => (find("offline").textContent = "It also works without a connection."));
}

start().catch(fail);
