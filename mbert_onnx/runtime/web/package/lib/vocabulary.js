// Vocabulary: the texts of tokens, for files that fill masks. They are in vocab.txt, beside the file or one folder up.

import { check, isArray, listFrom } from "./checks.js";
import { open } from "./source.js";
import { encode } from "./texts.js";

/**
 * The tokens by their ids.
 *
 * given: what the caller gave: a source, the tokens, or nothing. url: of the model. digest: the SHA-256 of its vocab.txt.
 * options: of `load`.
 */
export async function readVocabulary(given, url, digest, options) {
  if (isArray(given)) return given;
  for (const place of given ? [given] : ["vocab.txt", "../vocab.txt"].map((name) => url && new URL(name, url))) {
    try {
      const { response, keep } = await open(place, options);
      const lines = (await response.text()).replace(/\n?$/, "\n");
      if (await fits(lines, digest)) {
        keep?.([lines]);
        return lines.split("\n").slice(0, -1);
      }
    } catch ({ message }) {
      check(!given, message, Error);
    }
  }
  const found = given
    ? "`vocabulary` has other tokens than the model; give its own"
    : "the model's vocab.txt is not beside it; give it as `vocabulary`";
  check(false, found, Error);
}

/** Whether lines have this hash; where none can be computed, whether they are no page that a server has for all addresses. */
async function fits(lines, digest) {
  const { subtle } = crypto; // pages without https have none
  if (!digest || !subtle) return lines[0] !== "<";
  const hash = new Uint8Array(await subtle.digest("SHA-256", encode(lines)));
  return digest === listFrom(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
