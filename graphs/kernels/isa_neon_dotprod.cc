// aarch64 with dotprod: 16 products of bytes in one instruction.
#define LANES 4
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 6
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define UNSIGNED_WEIGHTS false
#include <arm_neon.h>

#include "processor.h"
#include "vectors.h"

namespace {
typedef int8x16_t Prepared;
typedef int8x16_t Quad;
inline Prepared prepare(Bytes weights) { return reinterpret_cast<int8x16_t>(weights); }
inline Quad spread(const int8_t* quad) {
  return vreinterpretq_s8_s32(vdupq_n_s32(*reinterpret_cast<const LooseInt*>(quad)));
}
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  return reinterpret_cast<Ints>(vdotq_s32(reinterpret_cast<int32x4_t>(sum), weights, quad));
}
}  // namespace

#include "compute.h"

MBERT_ISA(isa_neon_dotprod, "neon-dotprod", mbert::has_dotprod)
