// AVX2 and FMA. Its product of unsigned and signed bytes adds pairs in 16 bits, which would saturate for weights plus
// 128: products are of the weights' magnitudes, with the weights' signs moved to the activations.
#define INT8_ROWS 5
#define INT8_VECTORS 2
#define UNSIGNED_WEIGHTS false

#include "isa/x86/avx2.h"
#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
struct Prepared {
  __m256i weights, magnitudes;
};
typedef __m256i Quad;
inline Prepared prepare(Bytes weights) {
  const __m256i bytes = reinterpret_cast<__m256i>(weights);
  return {bytes, _mm256_abs_epi8(bytes)};
}
inline Quad splat_quad(const int8_t* quad) { return _mm256_set1_epi32(*reinterpret_cast<const UnalignedInt*>(quad)); }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  const __m256i pairs = _mm256_maddubs_epi16(weights.magnitudes, _mm256_sign_epi8(quad, weights.weights));
  return sum + reinterpret_cast<Ints>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
}  // namespace

#include "isa/compute.h"

DEFINE_SHARED_FLOATS(avx2)

MBERT_ISA(isa_avx2, "avx2", mbert::has_avx2)
