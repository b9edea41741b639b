// Vocabulary: the texts of tokens, for files that fill masks. They are in vocab.txt, beside the file or one folder up.

import { check } from "./checks.js";
import { open } from "./source.js";
import { encode } from "./texts.js";

/**
 * The tokens by their ids.
 *
 * given: what the caller gave: a source, the tokens, or nothing. url: of the model. digest: the SHA-256 of its
 * vocab.txt.
 */
export async function readVocabulary(given, url, digest) {
  if (Array.isArray(given)) return given;
  const places = given ? [given] : ["vocab.txt", "../vocab.txt"].map((name) => url && new URL(name, url));
  for (const place of places) {
    const text = await open(place)
      .then(({ response }) => response.text())
      .catch(() => "");
    const lines = text.replace(/\n?$/, "\n");
    if (text && (await fits(lines, digest))) return lines.split("\n").slice(0, -1);
  }
  check(false, "the vocab.txt of the model was not found; give it as `vocabulary`", Error);
}

async function fits(lines, digest) {
  const subtle = globalThis.crypto?.subtle; // pages without https have none
  if (!digest || !subtle) return true;
  const hash = new Uint8Array(await subtle.digest("SHA-256", encode(lines)));
  return digest === Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
