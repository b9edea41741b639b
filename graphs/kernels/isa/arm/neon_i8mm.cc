// aarch64 with i8mm: two rows of 8 bytes by two columns of them in one instruction. All else is NEON's.
#define LANES 4
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 6
#define BY_LANE
#define SCORE_ROWS 4
#define SCORE_VECTORS 4
#define VALUE_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define GROUP 8
#define DEPTH 16
#define PAIRED_ROWS
#define OWN_MULTIPLY_INT8

#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"

namespace {

struct Int8 {
  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    constexpr int PAIRS = (ROWS + 1) / 2, COLUMN_PAIRS = PANEL / 2;
    const int k = rounded_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // Pointers that are not known to be beside each other, so that none is added up anew in each step.
    const int8_t* at[PAIRS];
    UNROLLED for (int p = 0; p < PAIRS; p++) {
      at[p] = a + static_cast<size_t>(2 * p) * rows.stride;
      __asm__("" : "+r"(at[p]));
    }
    // Each holds row 0 by columns 0 and 1, then row 1 by the same. What is beside a last odd row is not looked at.
    int32x4_t sums[PAIRS][COLUMN_PAIRS] = {};
    for (int step = 0; step < k; step += DEPTH, w += DEPTH * PANEL) {
      if (FETCH) fetch_ahead<DEPTH * PANEL>(w);
      UNROLLED for (int g = 0; g < DEPTH / GROUP; g++) {
        // Sums and numbers leave five registers for weights: those of the next group must not be loaded yet.
        __asm__ volatile("" : : : "memory");
        int8x16_t numbers[PAIRS];
        UNROLLED for (int p = 0; p < PAIRS; p++) numbers[p] = vld1q_s8(at[p] + 2 * (step + g * GROUP));
        UNROLLED for (int c = 0; c < COLUMN_PAIRS; c++) {
          const int8x16_t columns = vld1q_s8(w + g * GROUP * PANEL + 2 * GROUP * c);
          UNROLLED for (int p = 0; p < PAIRS; p++) sums[p][c] = vmmlaq_s32(sums[p][c], numbers[p], columns);
        }
      }
    }
    Ints exact[ROWS][VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < VECTORS; v++) {
        const int64x2_t left = vreinterpretq_s64_s32(sums[i / 2][2 * v]), right = vreinterpretq_s64_s32(sums[i / 2][2 * v + 1]);
        exact[i][v] = reinterpret_cast<Ints>(i % 2 ? vtrn2q_s64(left, right) : vtrn1q_s64(left, right));
      }
    finish_int8<ROWS>(exact, rows, first, weight, column, has_relu, place);
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
