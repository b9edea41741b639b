// NEON, of every aarch64: products of bytes have 16 bits, and are added in pairs to 32 bits.
#define LANES 4
#define HAS_FMA
#define INT8_ROWS 4
#define INT8_VECTORS 4
#define FLOAT_ROWS 6
#define FLOAT_VECTORS 4
#define BY_LANE
#define CONVERT_ONCE_FROM 25
#define SCORE_ROWS 4
#define SCORE_VECTORS 4
#define VALUE_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define DEPTH 16
#define PAIRED_WEIGHTS
#define CUSTOM_MULTIPLY_INT8

#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"

namespace {

struct Int8 {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static INLINED void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                           const TileOutput& output) {
    constexpr int STEP = 8;  // activations that are expanded at once
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
    for (const int8_t* end = w + static_cast<size_t>(k) * INT8_PANEL; w != end; w += STEP * INT8_PANEL) {
      if (FETCH) fetch_ahead<STEP * INT8_PANEL, INT8_AHEAD>(w);
      int32x4_t twice[ROWS];  // each pair of activations, twice
      UNROLLED for (int i = 0; i < ROWS; i++, at[i - 1] += STEP) {
        const int16x8_t pairs = vreinterpretq_s16_s8(vcombine_s8(vld1_s8(at[i]), vdup_n_s8(0)));
        twice[i] = vreinterpretq_s32_s16(vzip1q_s16(pairs, pairs));
      }
      add_quad<ROWS, 0>(sums, twice, w);
      add_quad<ROWS, 1>(sums, twice, w + 4 * INT8_PANEL);
    }
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }

 private:
  // Multiplies the QUAD-th four of each row's activations by their weights.
  template <int ROWS, int QUAD>
  static INLINED void add_quad(Ints (&sums)[ROWS][INT8_VECTORS], const int32x4_t (&twice)[ROWS], const int8_t* w) {
    // The first two activations, repeated for four columns, and the other two.
    int8x16_t quads[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      quads[i] = vreinterpretq_s8_s32(QUAD ? vzip2q_s32(twice[i], twice[i]) : vzip1q_s32(twice[i], twice[i]));
    UNROLLED for (int v = 0; v < INT8_VECTORS; v++) {
      const int8x16_t columns = vld1q_s8(w + v * 4 * LANES);
      UNROLLED for (int i = 0; i < ROWS; i++) {
        // A product is at most 127 · 128, so the sum of two fits 16 bits; pairs of these sums are added to 32 bits.
        const int16x8_t products =
            vmlal_high_s8(vmull_s8(vget_low_s8(columns), vget_low_s8(quads[i])), columns, quads[i]);
        sums[i][v] = reinterpret_cast<Ints>(vpadalq_s16(reinterpret_cast<int32x4_t>(sums[i][v]), products));
      }
      // One vector of columns after the other: with more products at once, the compiler would spill accumulators.
      UNROLLED for (int i = 0; i < ROWS; i++) __asm__ volatile("" : "+w"(sums[i][v]) : : "memory");
    }
  }
};

void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}

#ifdef MBERT_PROFILE
int64_t peak_int8(int64_t times) {
  constexpr int SUMS = 16;
  const int8x16_t one = vdupq_n_s8(1);
  add_times<SUMS, int32x4_t>(times, [&](int32x4_t sum) {
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(one), vget_low_s8(one)), one, one));
  });
  return SUMS * 16;
}
#endif

}  // namespace

MBERT_ISA(isa_neon, "neon", mbert::always)
