#include "isa/wasm/relaxed_dot.h"

#include <wasm_simd128.h>

namespace mbert {

namespace {

constexpr int BYTES = 16, LANES = 4, START = -7;

// Factors whose products have the largest magnitudes: sums of pairs saturate in 16 bits where an engine adds them there.
constexpr int8_t FIRST[][BYTES] = {
    {127, 127, 127, 127, -127, -127, -127, -127, 127, -127, 1, 2, 127, 127, 127, 127},
    {127, 127, 127, 127, -127, -127, -127, -127, 100, 50, -3, 2, -127, 127, -127, 127},
};
constexpr int8_t SECOND[][BYTES] = {
    {-1, -1, -1, -1, -1, -1, -1, -1, -128, -1, -2, -3, 127, 127, 127, 127},
    {-128, -128, -128, -128, -128, -128, -128, -128, -1, -2, -3, -4, -1, -1, -1, -1},
};

int byte_of(int8_t number, bool is_signed) { return is_signed ? number : static_cast<uint8_t>(number); }

// Whether the engine computes the exact products of bytes, the second ones signed or unsigned.
bool is_exact(bool is_signed) {
  for (int test = 0; test < 2; test++) {
    // Copied through volatile pointers, so that no compiler computes the product in the engine's place.
    const volatile int8_t *a = FIRST[test], *b = SECOND[test];
    int8_t first[BYTES], second[BYTES];
    for (int i = 0; i < BYTES; i++) first[i] = a[i], second[i] = b[i];
    int32_t found[LANES];
    wasm_v128_store(found, wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load(first), wasm_v128_load(second),
                                                                  wasm_i32x4_splat(START)));
    for (int lane = 0; lane < LANES; lane++) {
      int expected = START;
      for (int i = 4 * lane; i < 4 * lane + 4; i++) expected += first[i] * byte_of(second[i], is_signed);
      if (found[lane] != expected) return false;
    }
  }
  return true;
}

}  // namespace

int32_t engine_shift = 0;
bool lacks_dot = false;

bool has_signed_dot() { return is_exact(true); }

bool has_unsigned_dot() {
  const bool is_unsigned = is_exact(false);
  engine_shift = is_unsigned ? 128 : 0;
  lacks_dot = !is_unsigned && !is_exact(true);
  return is_unsigned;
}

}  // namespace mbert
