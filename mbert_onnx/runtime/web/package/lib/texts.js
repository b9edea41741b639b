// Texts: strings of JavaScript are UTF-16; text files take UTF-8, and have offsets in its bytes.

import { Uint8Array } from "./checks.js";

const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. A surrogate without its partner becomes U+FFFD, which has as many units: one. */
export const encode = (text) => encoder.encode(text);

/** The bytes of texts in one array, and where each begins, with the end of the last. */
export function encodeAll(texts) {
  const parts = texts.map(encode);
  const splits = [0];
  for (const part of parts) splits.push(splits.at(-1) + part.length);
  return { bytes: Uint8Array.from(parts.flatMap((part) => [...part])), splits };
}

/** A function from offsets in the bytes of a text to offsets in its UTF-16 units. */
export function unitsOf(text) {
  const units = [0];
  // Of a character's bytes, the first one counts; a character of four bytes has two units.
  encode(text).forEach((byte) => units.push(units.at(-1) + (byte < 0x80) + (byte >= 0xc0) + (byte >= 0xf0)));
  return (byte) => units[byte];
}

/** The text with [start, end) replaced by a token; one that continues a word, such as ##s, is joined to it. */
export function filled(text, start, end, token, continuation) {
  const joins = token.startsWith(continuation);
  const before = text.slice(0, start);
  return (joins ? before.trimEnd() + token.slice(continuation.length) : before + token) + text.slice(end);
}
