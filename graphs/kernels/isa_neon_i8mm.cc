// aarch64 with i8mm: two rows of 8 bytes by two columns of them in one instruction. All else is NEON's.
#define LANES 4
#define HAS_FMA
#define VECTORS 4
#define TILE_ROWS 6
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define UNSIGNED_WEIGHTS false
#define GROUP 8
#define OWN_MULTIPLY_INT8
#include <arm_neon.h>

#include "processor.h"
#include "vectors.h"

#include "compute.h"

namespace {

struct Int8 {
  template <int ROWS>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    constexpr int PAIRS = (ROWS + 1) / 2, COLUMN_PAIRS = PANEL / 2;
    const int k = rounded_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // Each holds row 0 by columns 0 and 1, then row 1 by the same. The partner of a last odd row is the row itself.
    int32x4_t sums[PAIRS][COLUMN_PAIRS] = {};
    for (int step = 0; step < k; step += 8, w += 8 * PANEL) {
      int8x16_t two[PAIRS];
      for (int p = 0; p < PAIRS; p++) {
        const int8_t* upper = a + static_cast<size_t>(2 * p) * rows.stride + step;
        const int8_t* lower = 2 * p + 1 < ROWS ? upper + rows.stride : upper;
        two[p] = vcombine_s8(vld1_s8(upper), vld1_s8(lower));
      }
      for (int c = 0; c < COLUMN_PAIRS; c++) {
        const int8x16_t columns = vld1q_s8(w + 16 * c);
        for (int p = 0; p < PAIRS; p++) sums[p][c] = vmmlaq_s32(sums[p][c], two[p], columns);
      }
    }
    Floats found[ROWS][VECTORS];
    for (int i = 0; i < ROWS; i++)
      for (int v = 0; v < VECTORS; v++) {
        const int32x4_t left = sums[i / 2][2 * v], right = sums[i / 2][2 * v + 1];
        const int32x4_t exact = i % 2 ? vcombine_s32(vget_high_s32(left), vget_high_s32(right))
                                      : vcombine_s32(vget_low_s32(left), vget_low_s32(right));
        found[i][v] = __builtin_convertvector(reinterpret_cast<Ints>(exact), Floats) * rows.steps[first + i];
        found[i][v] *= load(weight.scales + column + v * LANES);
      }
    finish<ROWS>(found, weight.bias ? weight.bias + column : nullptr, has_relu, place);
  }
};

void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}

#ifdef MBERT_PROFILE
int64_t peak_int8(int64_t times) {
  constexpr int SUMS = 16;
  int32x4_t sums[SUMS] = {};
  const int8x16_t two = vdupq_n_s8(1);
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : : "memory");
    for (int i = 0; i < SUMS; i++) sums[i] = vmmlaq_s32(sums[i], two, two);
  }
  int32x4_t kept[SUMS];
  for (int i = 0; i < SUMS; i++) kept[i] = sums[i];
  __asm__ volatile("" : : "r"(kept) : "memory");
  return SUMS * 32;
}
#endif

}  // namespace

MBERT_ISA(isa_neon_i8mm, "neon-i8mm", mbert::has_i8mm)
