// The model, which a worker loads and runs, so that the page never stands still.

export class Model {
  #worker;
  #waiting = new Map();
  #count = 0;

  /** settings: app.json. onProgress(loaded, total): bytes of the download so far. */
  constructor(settings, onProgress) {
    this.ready = new Promise((resolve, reject) => {
      this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      this.#worker.onmessage = ({ data }) => {
        if (data.kind === "progress") onProgress(data.loaded, data.total);
        else if (data.kind === "ready") resolve();
        else if (data.kind === "failed") reject(new Error(data.message));
        else this.#settle(data);
      };
      this.#worker.onerror = () =>
        reject(new Error("The program of the model cannot be started. Reload the page, or use a newer browser."));
    });
    this.#worker.postMessage({ kind: "load", settings });
  }

  /** Runs one set of inputs; returns the outputs by name: {data: numbers, dims}. */
  async run(inputs) {
    await this.ready;
    const number = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage({ kind: "run", number, inputs });
    });
  }

  #settle({ number, outputs, message }) {
    const { resolve, reject } = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (outputs) resolve(outputs);
    else reject(new Error(message));
  }
}
