// Checks of arguments, and of signals.

// Under one name in all modules, because the package is to stay small: tools shorten no names of the global scope.
export const scope = globalThis;
export const { Error, Float32Array, Int32Array, Promise, Response, TypeError, Uint8Array, WebAssembly } = scope;
export const { from: listFrom, isArray } = Array;
export const { entries } = Object;
export const { parse } = JSON;

/** An object of names and values that a function makes of each element. */
export const objectOf = (list, pairOf) => Object.fromEntries(list.map(pairOf));

export function check(isRight, message, kind = RangeError) {
  if (!isRight) throw new kind(message);
}

/** The value, a text. Blank is what Python's `strip` removes, which is not quite what `trim` does. */
export function checkText(name, value) {
  check(typeof value === "string", `${name} is ${typeof value}; expected a string`, TypeError);
  check(/[^\s\x1c-\x1f\x85]|\ufeff/.test(value), `${name} is empty; give some text`);
  return value;
}

/** Checks a whole number. most: undefined if it may be as large as it likes. */
export function checkCount(name, value, least = 1, most) {
  const range = `from ${least} ${most ? `to ${most}` : "on"}`;
  check(
    Number.isInteger(value) && value >= least && !(value > most),
    `${name} is ${value}; expected a whole number ${range}`,
  );
}

/** The promise that `start` returns; it rejects with the signal's reason as soon as that aborts. */
export function abortable(start, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop);
    start()
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener("abort", stop));
  });
}
