// AVX2 and FMA. Its product of unsigned and signed bytes saturates, so products are of 16 bits: weights are widened
// when they are used, even bytes and odd bytes apart, and activations when they are quantized.
#define LANES 8
#define HAS_FMA
#define INT8_ROWS 4
#define INT8_VECTORS 2
#define FLOAT_ROWS 6
#define FLOAT_VECTORS 2
#define SCORE_ROWS 4
#define SCORE_VECTORS 2
#define VALUE_VECTORS 2
#define UNSIGNED_WEIGHTS false
#define WIDE_ROWS

#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
struct Prepared {
  __m256i first, second;
};
typedef Prepared Quad;
inline Prepared prepare(Bytes weights) {
  const __m256i bytes = reinterpret_cast<__m256i>(weights);
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}
inline Quad splat_quad(const Activation* quad) {
  const UnalignedInt* pairs = reinterpret_cast<const UnalignedInt*>(quad);
  return {_mm256_set1_epi32(pairs[0]), _mm256_set1_epi32(pairs[1])};
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m256i first = _mm256_madd_epi16(weights.first, quad.first);
  const __m256i second = _mm256_madd_epi16(weights.second, quad.second);
  return sum + reinterpret_cast<Ints>(_mm256_add_epi32(first, second));
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_avx2, "avx2", mbert::has_avx2)
