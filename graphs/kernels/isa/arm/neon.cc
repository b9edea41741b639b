// aarch64 as it has always been: products of bytes are 16 bits wide, and are added in pairs.
#define LANES 4
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 4
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
// The first two activations, and the other two, for four columns.
struct Quad {
  int8x16_t first, second;
};
inline int8x16_t pair(const int8_t* two) {
  int16_t both;
  __builtin_memcpy(&both, two, 2);
  return vreinterpretq_s8_s16(vdupq_n_s16(both));
}
inline Prepared prepare(Bytes weights) { return reinterpret_cast<int8x16_t>(weights); }
inline Quad spread(const int8_t* quad) { return {pair(quad), pair(quad + 2)}; }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  // A product is 127 · 128 at most, so two of them still fit 16 bits; pairs of these are added as 32.
  const int16x8_t products = vmull_s8(vget_low_s8(weights), vget_low_s8(quad.first));
  return reinterpret_cast<Ints>(
      vpadalq_s16(reinterpret_cast<int32x4_t>(sum), vmlal_high_s8(products, weights, quad.second)));
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_neon, "neon", mbert::always)
