// AVX2 and FMA. The multiplication of unsigned and signed bytes saturates, so bytes are made 16 bits wide: those at even
// and those at odd places, of which two each are multiplied and added.
#define LANES 8
#define HAS_FMA
#define VECTORS 2
#define TILE_ROWS 4
#define SCORE_ROWS 4
#define SCORE_VECTORS 2
#define UNSIGNED_WEIGHTS false
#include <immintrin.h>

#include "processor.h"
#include "vectors.h"

namespace {
struct Prepared {
  __m256i even, odd;
};
typedef Prepared Quad;
inline Prepared widened(__m256i bytes) {
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}
inline Prepared prepare(Bytes weights) { return widened(reinterpret_cast<__m256i>(weights)); }
inline Quad spread(const int8_t* quad) {
  return widened(_mm256_set1_epi32(*reinterpret_cast<const LooseInt*>(quad)));
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m256i even = _mm256_madd_epi16(weights.even, quad.even), odd = _mm256_madd_epi16(weights.odd, quad.odd);
  return sum + reinterpret_cast<Ints>(_mm256_add_epi32(even, odd));
}
}  // namespace

#include "compute.h"

MBERT_ISA(isa_avx2, "avx2", mbert::has_avx2)
