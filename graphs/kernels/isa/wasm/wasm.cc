// WebAssembly: fixed-width SIMD, which all current engines have, and relaxed SIMD where the module is built for it. The
// instruction sets share all kernels but the int8 product, so that a module stays small.
#define LANES 4
#ifdef __wasm_relaxed_simd__
#define HAS_FMA
#endif
#ifndef FIXED_ROWS
#define FIXED_ROWS 4
#endif
#define INT8_ROWS 6
#define INT8_VECTORS 2
#define FLOAT_ROWS 4
#define FLOAT_VECTORS 2
#define SCORE_ROWS 8
#define SCORE_VECTORS 1
#define VALUE_VECTORS 1
#define CONVERT_ONCE_FROM 1
#define HALF_ROWS 1
#define CUSTOM_MULTIPLY_INT8
#ifdef __wasm_relaxed_simd__
#define UNSIGNED_WEIGHTS true
#define ENGINE_SHIFT mbert::engine_shift
#define INTERLEAVES mbert::lacks_dot
#else
#define UNSIGNED_WEIGHTS false
#define INTERLEAVES true
#endif

#include "isa/processor.h"
#include "isa/vectors.h"
#include "isa/wasm/relaxed_dot.h"

#ifdef __wasm_relaxed_simd__
namespace {

inline Ints relaxed_dot(Ints sum, v128_t weights, v128_t quad) {
  return reinterpret_cast<Ints>(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(quad, weights, reinterpret_cast<v128_t>(sum)));
}
// For sums of activations: see `add_bytes`.
typedef v128_t Quad;
inline v128_t prepare(Bytes weights) { return reinterpret_cast<v128_t>(weights); }
inline Ints dot(Ints sum, v128_t weights, v128_t quad) { return relaxed_dot(sum, weights, quad); }

}  // namespace
#endif

#include "isa/compute.h"
#include "isa/wasm/fixed_products.h"
#ifdef __wasm_relaxed_simd__
#include "isa/wasm/relaxed_products.h"

MBERT_ISA_OF(isa_wasm_relaxed, "wasm-relaxed", mbert::has_signed_dot, multiply_relaxed, 0)
MBERT_ISA_OF(isa_wasm_relaxed_unsigned, "wasm-relaxed-unsigned", mbert::has_unsigned_dot, multiply_relaxed, 128)
#endif
MBERT_ISA_OF(isa_wasm, "wasm-simd128", mbert::always, multiply_fixed, 0)
