// Vocabulary: the texts of tokens, for files that fill masks. They are in vocab.txt, beside the file or one folder up.

import { check, Error, isArray, listFrom, Uint8Array } from "./checks.js";
import { open } from "./source.js";
import { encode } from "./texts.js";

/**
 * The tokens by their ids.
 *
 * given: what the caller gave: a source, the tokens, or nothing. url: of the model. digest: the SHA-256 of its vocab.txt.
 * options: of `open`.
 */
export async function readVocabulary(given, url, digest, options) {
  for (const place of given ? [given] : ["vocab.txt", "../vocab.txt"].map((name) => url && new URL(name, url))) {
    try {
      const { response, parts, keep } = isArray(place) ? {} : await open(place, options);
      // Lines may end as on Windows, and the last one without an end.
      const tokens = response ? (await response.text()).replace(/\r?\n$/, "").split(/\r?\n/) : place;
      const lines = tokens.map((token) => `${token}\n`).join("");
      if (await fits(lines, digest)) {
        parts?.push(lines);
        keep?.();
        return tokens;
      }
    } catch (error) {
      if (given) throw error;
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
