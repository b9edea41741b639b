// Spans are offsets in bytes of UTF-8, and strings of JavaScript are UTF-16: texts are cut as bytes.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a BOM is a character of the text

export const encode = (text) => encoder.encode(text);

/** The text between two bytes. */
export const slice = (bytes, begin, end) => decoder.decode(bytes.subarray(begin, end));

/**
 * Cuts a text into pieces at spans.
 *
 * bytes: the text. spans: [{begin, end, ...}], in any order; of two that overlap, the first is kept.
 * Returns [{text, span}] in order, where span is null between two spans.
 */
export function pieces(bytes, spans) {
  const found = [];
  let place = 0;
  const add = (begin, end, span) => end > begin && found.push({ text: slice(bytes, begin, end), span });
  for (const span of [...spans].sort((a, b) => a.begin - b.begin)) {
    if (span.begin < place) continue;
    add(place, span.begin, null);
    add(span.begin, span.end, span);
    place = span.end;
  }
  add(place, bytes.length, null);
  return found;
}
