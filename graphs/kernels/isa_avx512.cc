// AVX-512 without VNNI. The multiplication of unsigned and signed bytes saturates, so bytes are made 16 bits wide: those
// at even and those at odd places, of which two each are multiplied and added.
#define LANES 16
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 5
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define UNSIGNED_WEIGHTS false
#include <immintrin.h>

#include "processor.h"
#include "vectors.h"

namespace {
struct Prepared {
  __m512i even, odd;
};
typedef Prepared Quad;
inline Prepared widened(__m512i bytes) {
  return {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
}
inline Prepared prepare(Bytes weights) { return widened(reinterpret_cast<__m512i>(weights)); }
inline Quad spread(const int8_t* quad) {
  return widened(_mm512_set1_epi32(*reinterpret_cast<const LooseInt*>(quad)));
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m512i even = _mm512_madd_epi16(weights.even, quad.even), odd = _mm512_madd_epi16(weights.odd, quad.odd);
  return sum + reinterpret_cast<Ints>(_mm512_add_epi32(even, odd));
}
}  // namespace

#include "compute.h"

MBERT_ISA(isa_avx512, "avx512", mbert::has_avx512)
