// Texts: strings of JavaScript are UTF-16; text files take UTF-8, and have offsets in its bytes.

const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. A surrogate without its partner becomes U+FFFD, which has as many units: one. */
export const encode = (text) => encoder.encode(text);

/** The bytes of texts in one array, and where each begins, with the end of the last. */
export function encodeAll(texts) {
  const parts = texts.map(encode);
  const splits = [0];
  for (const part of parts) splits.push(splits.at(-1) + part.length);
  const bytes = new Uint8Array(splits.at(-1));
  parts.forEach((part, place) => bytes.set(part, splits[place]));
  return { bytes, splits };
}

/** A function from offsets in the bytes of a text to offsets in its UTF-16 units. */
export function unitsOf(text) {
  const bytes = encode(text);
  const units = new Uint32Array(bytes.length + 1);
  bytes.forEach((byte, place) => {
    // Of a character's bytes, the first one counts; a character of four bytes has two units.
    const isFirst = (byte & 0b11000000) !== 0b10000000;
    units[place + 1] = units[place] + isFirst + (byte >= 0b11110000);
  });
  return (byte) => units[byte];
}

/** The text with [start, end) replaced by a token; one that continues a word, such as ##s, is joined to it. */
export function filled(text, start, end, token, continuation) {
  const joins = token.startsWith(continuation);
  const before = text.slice(0, start);
  return (joins ? before.trimEnd() + token.slice(continuation.length) : before + token) + text.slice(end);
}
