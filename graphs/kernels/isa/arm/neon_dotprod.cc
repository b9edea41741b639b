// NEON with the dotprod extension: 16 products of bytes in one instruction.
#define LANES 4
#define HAS_FMA
#define INT8_ROWS 6
#define INT8_VECTORS 4
#define FLOAT_ROWS 6
#define FLOAT_VECTORS 4
#define BY_LANE
#define SCORE_ROWS 4
#define SCORE_VECTORS 4
#define VALUE_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define DEPTH 16
#define CUSTOM_MULTIPLY_INT8

#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"

namespace {

struct Int8 {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const int k = round_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // One pointer per row, opaque to the compiler: otherwise it derives them from each other anew in every step.
    const int8_t* at[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++) {
      at[i] = a + static_cast<size_t>(i) * rows.stride;
      __asm__("" : "+r"(at[i]));
    }
    Ints sums[ROWS][INT8_VECTORS] = {};
    for (int step = 0; step < k; step += DEPTH, w += DEPTH * INT8_PANEL) {
      if (FETCH) fetch_ahead<DEPTH * INT8_PANEL, INT8_AHEAD>(w);
      int8x16_t numbers[ROWS];
      UNROLLED for (int i = 0; i < ROWS; i++) numbers[i] = vld1q_s8(at[i] + step);
      add<ROWS, 0>(sums, numbers, w);
      add<ROWS, 1>(sums, numbers, w);
      add<ROWS, 2>(sums, numbers, w);
      add<ROWS, 3>(sums, numbers, w);
    }
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }

 private:
  // Multiplies the QUAD-th four of each row's 16 activations by their weights. The instruction selects the four itself.
  template <int ROWS, int QUAD>
  static INLINED void add(Ints (&sums)[ROWS][INT8_VECTORS], const int8x16_t (&numbers)[ROWS], const int8_t* w) {
    // Accumulators and activations leave two registers for weights, so this barrier keeps loads from being hoisted,
    // which would spill accumulators.
    __asm__ volatile("" : : : "memory");
    UNROLLED for (int v = 0; v < INT8_VECTORS; v++) {
      const int8x16_t columns = vld1q_s8(w + QUAD * 4 * INT8_PANEL + v * 4 * LANES);
      UNROLLED for (int i = 0; i < ROWS; i++)
        sums[i][v] = reinterpret_cast<Ints>(
            vdotq_laneq_s32(reinterpret_cast<int32x4_t>(sums[i][v]), columns, numbers[i], QUAD));
    }
  }
};

void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}

#ifdef MBERT_PROFILE
int64_t peak_int8(int64_t times) {
  constexpr int SUMS = 16;
  const int8x16_t numbers = vdupq_n_s8(1);
  add_times<SUMS, int32x4_t>(times, [&](int32x4_t sum) { return vdotq_laneq_s32(sum, numbers, numbers, 0); });
  return SUMS * 16;
}
#endif

}  // namespace

MBERT_ISA(isa_neon_dotprod, "neon-dotprod", mbert::has_dotprod)
