// Checks of arguments, and of signals.

export function check(isRight, message, kind = RangeError) {
  if (!isRight) throw new kind(message);
}

/** The value, a text. */
export function checkText(name, value) {
  check(typeof value === "string", `${name} is ${typeof value}; expected a string`, TypeError);
  check(value.trim(), `${name} is empty; give some text`);
  return value;
}

export function checkCount(name, value, least = 1) {
  check(Number.isInteger(value) && value >= least, `${name} is ${value}; expected a whole number from ${least} on`);
}

/** The promise, which rejects with the signal's reason as soon as it aborts. */
export function abortable(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal?.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", stop));
  });
}

// Under one name in all modules, because the package is to stay small.
export const { from: listFrom, isArray } = Array;
export const { entries } = Object;

/** An object of names and values that a function makes of each element. */
export const objectOf = (list, pairOf) => Object.fromEntries(list.map(pairOf));
