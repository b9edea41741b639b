// aarch64 as it has always been: products of bytes are 16 bits wide, and are added in pairs.
#define LANES 4
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 4
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define UNSIGNED_WEIGHTS false
#include <arm_neon.h>

#include "processor.h"
#include "vectors.h"

namespace {
typedef int8x16_t Prepared;
typedef int8x8_t Quad;
inline Prepared prepare(Bytes weights) { return reinterpret_cast<int8x16_t>(weights); }
inline Quad spread(const int8_t* quad) {
  return vreinterpret_s8_s32(vdup_n_s32(*reinterpret_cast<const LooseInt*>(quad)));
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  // A product is 127 · 128 at most, so two of them still fit 16 bits; they are added as 32.
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(weights), quad));
  const int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(weights), quad));
  return sum + reinterpret_cast<Ints>(vpaddq_s32(low, high));
}
}  // namespace

#include "compute.h"

MBERT_ISA(isa_neon, "neon", mbert::always)
