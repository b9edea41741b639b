// The dot product of bytes of WebAssembly's relaxed SIMD, i32x4.relaxed_dot_i8x16_i7x16_add. The specification defines it
// only where the second factor has 7 bits. Whether its 8th bit is a sign, and whether sums of pairs of products saturate,
// is the engine's choice, but always the same one.
#pragma once

#include <stdint.h>

namespace mbert {

bool has_signed_dot();    // the second factor is signed, and sums are exact
bool has_unsigned_dot();  // the second factor is unsigned, and sums are exact

// What the second factor is too large by, 0 or 128; valid after a call of has_unsigned_dot.
extern int32_t engine_shift;
// Whether it is neither of the two, so that it is not used; valid after both calls.
extern bool lacks_dot;

}  // namespace mbert
