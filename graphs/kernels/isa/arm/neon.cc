// NEON, of every aarch64: products of bytes have 16 bits, and are added in pairs to 32 bits.
#define LANES 4
#define HAS_FMA
#define INT8_ROWS 4
#define INT8_VECTORS 4
#define FLOAT_ROWS 6
#define FLOAT_VECTORS 4
#define BY_LANE
#define SCORE_ROWS 4
#define SCORE_VECTORS 4
#define VALUE_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define DEPTH 16
#define PAIRED_WEIGHTS

#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
typedef int8x16_t Prepared;
// Two vectors: the first two activations repeated for four columns, and the other two.
struct Quad {
  int8x16_t first, second;
};
inline int8x16_t splat_pair(const int8_t* pair) {
  int16_t both;
  __builtin_memcpy(&both, pair, 2);
  return vreinterpretq_s8_s16(vdupq_n_s16(both));
}
inline Prepared prepare(Bytes weights) { return reinterpret_cast<int8x16_t>(weights); }
inline Quad splat_quad(const int8_t* quad) { return {splat_pair(quad), splat_pair(quad + 2)}; }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  // A product is at most 127 · 128, so the sum of two fits 16 bits; pairs of these sums are added to 32 bits.
  const int16x8_t products = vmull_s8(vget_low_s8(weights), vget_low_s8(quad.first));
  return reinterpret_cast<Ints>(
      vpadalq_s16(reinterpret_cast<int32x4_t>(sum), vmlal_high_s8(products, weights, quad.second)));
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_neon, "neon", mbert::always)
