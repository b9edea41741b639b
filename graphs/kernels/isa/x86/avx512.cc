// AVX-512 without VNNI: products of the weights' magnitudes, with the weights' signs moved to the activations by a
// mask.
#define INT8_ROWS 5
#define INT8_VECTORS 4
#define UNSIGNED_WEIGHTS false

#include "isa/x86/avx512.h"
#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
struct Prepared {
  __mmask64 negative;
  __m512i magnitudes;
};
typedef __m512i Quad;
inline Prepared prepare(Bytes weights) {
  const __m512i bytes = reinterpret_cast<__m512i>(weights);
  return {_mm512_movepi8_mask(bytes), _mm512_abs_epi8(bytes)};
}
inline Quad splat_quad(const int8_t* quad) { return _mm512_set1_epi32(*reinterpret_cast<const UnalignedInt*>(quad)); }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m512i signed_quad = _mm512_mask_sub_epi8(quad, weights.negative, _mm512_setzero_si512(), quad);
  const __m512i pairs = _mm512_maddubs_epi16(weights.magnitudes, signed_quad);
  return sum + reinterpret_cast<Ints>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
}  // namespace

#include "isa/compute.h"

DEFINE_SHARED_FLOATS(avx512)

MBERT_ISA(isa_avx512, "avx512", mbert::has_avx512)
