// UTF-8 decoding, with U+FFFD for each invalid piece, as Python's errors="replace" (Unicode 16, table 3-7).
#pragma once

#include <stdint.h>

namespace mbert {

constexpr uint32_t REPLACEMENT = 0xFFFD;

// Returns the code point of the character that begins at `place`, which is before `size`, and sets the byte behind it.
// An invalid piece is the longest prefix of a well-formed sequence, or one byte.
inline uint32_t decode(const uint8_t* bytes, uint32_t size, uint32_t place, uint32_t* end) {
  const uint32_t lead = bytes[place++];
  *end = place;
  if (lead < 0x80) return lead;
  if (lead < 0xC2 || lead > 0xF4) return REPLACEMENT;
  // The range of the second byte leaves out overlong forms, surrogates, and what is above U+10FFFF.
  uint32_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  const int more = 1 + (lead >= 0xE0) + (lead >= 0xF0);
  uint32_t point = lead & (0x3Fu >> more);
  for (int i = 0; i < more; i++) {
    if (place == size || bytes[place] < low || bytes[place] > high) return REPLACEMENT;
    point = point << 6 | (bytes[place] & 0x3F);
    *end = ++place;
    low = 0x80, high = 0xBF;
  }
  return point;
}

}  // namespace mbert
