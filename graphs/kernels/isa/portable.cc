// Portable: runs on every processor of the architecture; 128-bit vectors in clang's own terms, no fused multiply-add.
#define LANES 4
#define INT8_ROWS 2
#define INT8_VECTORS 4
#define FLOAT_ROWS 4
#define FLOAT_VECTORS 2
#define SCORE_ROWS 4
#define SCORE_VECTORS 2
#define VALUE_VECTORS 2
#define UNSIGNED_WEIGHTS false
#define DEPTH 16
#define CONVERT_ONCE_FROM 1
#define HALF_ROWS 1

#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
// Four weights of each of four columns: one vector of columns for each weight.
struct Prepared {
  Ints rows[4];
};
struct Quad {
  int32_t values[4];
};
inline Prepared prepare(Bytes weights) {
  const Ints words = reinterpret_cast<Ints>(weights);
  return {{(words << 24) >> 24, (words << 16) >> 24, (words << 8) >> 24, words >> 24}};
}
inline Quad splat_quad(const int8_t* quad) { return {{quad[0], quad[1], quad[2], quad[3]}}; }
inline Ints dot(Ints sum, const Prepared& weights, const Quad& quad) {
  for (int i = 0; i < 4; i++) sum += weights.rows[i] * quad.values[i];
  return sum;
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_portable, "portable", mbert::always)
