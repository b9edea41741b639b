// AVX-512 without VNNI. The multiplication of unsigned and signed bytes saturates, so bytes are made 16 bits wide, weights when they
// are used and activations when they are quantized: those at even and those at odd places, of which two each are
// multiplied and added.
#define LANES 16
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 5
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define UNSIGNED_WEIGHTS false
#define WIDE_ROWS
#include <immintrin.h>

#include "processor.h"
#include "vectors.h"

namespace {
struct Prepared {
  __m512i even, odd;
};
typedef Prepared Quad;
inline Prepared prepare(Bytes weights) {
  const __m512i bytes = reinterpret_cast<__m512i>(weights);
  return {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
}
inline Quad spread(const Number* quad) {
  const LooseInt* pairs = reinterpret_cast<const LooseInt*>(quad);
  return {_mm512_set1_epi32(pairs[0]), _mm512_set1_epi32(pairs[1])};
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m512i even = _mm512_madd_epi16(weights.even, quad.even), odd = _mm512_madd_epi16(weights.odd, quad.odd);
  return sum + reinterpret_cast<Ints>(_mm512_add_epi32(even, odd));
}
}  // namespace

#include "compute.h"

MBERT_ISA(isa_avx512, "avx512", mbert::has_avx512)
