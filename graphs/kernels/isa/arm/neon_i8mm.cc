// NEON with the i8mm extension: one instruction multiplies two rows of 8 bytes by two columns. Everything else is NEON.
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
#define GROUP 8
#define DEPTH 16
#define PAIRED_ROWS 8
#define CUSTOM_MULTIPLY_INT8
#define CUSTOM_MULTIPLY_HALF

#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"
#include "isa/arm/half_products.h"

namespace {

struct Int8 {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static INLINED void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    constexpr int PAIRS = (ROWS + 1) / 2, COLUMN_PAIRS = INT8_PANEL / 2, STEP = DEPTH * INT8_PANEL;
    const int k = round_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // One pointer per pair of rows, opaque to the compiler: otherwise it derives them from each other anew in every
    // step.
    const int8_t* at[PAIRS];
    UNROLLED for (int p = 0; p < PAIRS; p++) {
      at[p] = a + static_cast<size_t>(2 * p) * rows.stride;
      __asm__("" : "+r"(at[p]));
    }
    // Each accumulator holds row 0 by columns 0 and 1, then row 1 by the same. The second row of a last, odd one is not
    // used.
    int32x4_t sums[PAIRS][COLUMN_PAIRS] = {};
    for (const int8_t* end = w + static_cast<size_t>(k) * INT8_PANEL; w != end; w += STEP) {
      if (FETCH) fetch_ahead<STEP, INT8_AHEAD>(w);
      int8x16_t numbers[PAIRS][DEPTH / GROUP];
      UNROLLED for (int p = 0; p < PAIRS; p++) {
        UNROLLED for (int g = 0; g < DEPTH / GROUP; g++) numbers[p][g] = vld1q_s8(at[p] + 2 * GROUP * g);
        at[p] += 2 * DEPTH;
      }
      UNROLLED for (int c = 0; c < DEPTH / GROUP * COLUMN_PAIRS; c++) {
        // Accumulators and activations leave two registers for weights, so this barrier keeps loads from being hoisted,
        // which would spill accumulators.
        if (c % 2 == 0) __asm__ volatile("" : : : "memory");
        const int8x16_t columns = vld1q_s8(w + 2 * GROUP * c);
        UNROLLED for (int p = 0; p < PAIRS; p++) {
          int32x4_t& sum = sums[p][c % COLUMN_PAIRS];
          sum = vmmlaq_s32(sum, numbers[p][c / COLUMN_PAIRS], columns);
        }
      }
    }
    Ints exact[ROWS][INT8_VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < INT8_VECTORS; v++) {
        const int64x2_t left = vreinterpretq_s64_s32(sums[i / 2][2 * v]);
        const int64x2_t right = vreinterpretq_s64_s32(sums[i / 2][2 * v + 1]);
        exact[i][v] = reinterpret_cast<Ints>(i % 2 ? vtrn2q_s64(left, right) : vtrn1q_s64(left, right));
      }
    add_starts(exact, weight, column);
    epilogue_int8(exact, rows, first, weight, column, has_relu, output);
  }
};

void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}

#ifdef MBERT_PROFILE
int64_t peak_int8(int64_t times) {
  constexpr int SUMS = 16;
  const int8x16_t two = vdupq_n_s8(1);
  add_times<SUMS, int32x4_t>(times, [&](int32x4_t sum) { return vmmlaq_s32(sum, two, two); });
  return SUMS * 32;
}
#endif

}  // namespace

MBERT_ISA(isa_neon_i8mm, "neon-i8mm", mbert::has_i8mm)
