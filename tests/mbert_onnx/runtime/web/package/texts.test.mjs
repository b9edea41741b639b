// Offsets: bytes of UTF-8, which text files count, to units of UTF-16, which strings of JavaScript count.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encode, encodeAll, filled, unitsOf } from "../../../../../mbert_onnx/runtime/web/package/lib/texts.js";

const TEXTS = [
  "",
  "plain",
  "né",
  "漢字 and 👩‍🚀 \ufeff",
  "\ud800",
  "a\udc00\ud800b",
  "👩\ud83d👩",
  "\0\x7f\x80\u07ff\u0800\uffff\u{10000}\u{10ffff}",
];

test("each character's offsets, lone surrogates included", () => {
  for (const text of TEXTS) {
    const units = unitsOf(text);
    let byte = 0;
    let unit = 0;
    for (const character of text) {
      assert.equal(units(byte), unit, JSON.stringify(text));
      byte += encode(character).length;
      unit += character.length;
    }
    assert.equal(units(byte), text.length);
  }
});

test("random strings of units", () => {
  const pool = [0x41, 0xe9, 0x6f22, 0xd83d, 0xdc69, 0xdc00, 0xfeff, 0xfffd];
  for (let seed = 1; seed <= 500; seed++) {
    let state = seed;
    const next = () => (state = (state * 48271) % 2147483647);
    const text = String.fromCharCode(...Array.from({ length: next() % 12 }, () => pool[next() % pool.length]));
    const units = unitsOf(text);
    const characters = [...text];
    for (let end = 0; end <= characters.length; end++) {
      const part = characters.slice(0, end).join("");
      assert.equal(units(encode(part).length), part.length);
    }
  }
});

test("several texts in one array of bytes", () => {
  const { bytes, splits } = encodeAll(["a", "", "né"]);
  assert.deepEqual(splits, [0, 1, 1, 4]);
  assert.equal(new TextDecoder().decode(bytes), "ané");
});

test("a token in the place of a mask", () => {
  assert.equal(filled("the [MASK] ran", 4, 10, "fox", "##"), "the fox ran");
  assert.equal(filled("the fox [MASK] ran", 8, 14, "##es", "##"), "the foxes ran");
});
