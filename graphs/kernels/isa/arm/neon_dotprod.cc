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
#define PAIRED_ROWS 16
#define CUSTOM_MULTIPLY_INT8
#define CUSTOM_MULTIPLY_HALF

#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"
#include "isa/arm/half_products.h"

namespace {

// Loads 32 bytes, and adds BYTES to the pointer: one instruction, where the compiler would take two.
template <int BYTES>
INLINED void load_pair(const int8_t*& at, int8x16_t& first, int8x16_t& second) {
  __asm__("ldp %q0, %q1, [%2], %3"
          : "=w"(first), "=w"(second), "+r"(at)
          : "i"(BYTES), "m"(*reinterpret_cast<const int8_t(*)[32]>(at)));
}

struct Int8 {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static INLINED void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const int k = round_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // One pointer per pair of rows, opaque to the compiler: otherwise it derives them from each other anew in every
    // step.
    constexpr int PAIRS = (ROWS + 1) / 2;
    const int8_t* at[PAIRS];
    UNROLLED for (int p = 0; p < PAIRS; p++) {
      at[p] = a + static_cast<size_t>(2 * p) * rows.stride;
      __asm__("" : "+r"(at[p]));
    }
    Ints sums[ROWS][INT8_VECTORS] = {};
    for (const int8_t* end = w + static_cast<size_t>(k) * INT8_PANEL; w != end;) {
      if (FETCH) fetch_ahead<STEP, INT8_AHEAD>(w);
      int8x16_t numbers[2 * PAIRS], columns[2];  // the second row of a last, odd one is not used
      UNROLLED for (int p = 0; p < PAIRS; p++) load_pair<2 * DEPTH>(at[p], numbers[2 * p], numbers[2 * p + 1]);
      load_pair<STEP>(w, columns[0], columns[1]);
      add<ROWS, 0, 0>(sums, numbers, columns);
      add_next<ROWS, 0, 2>(sums, numbers, w);
      add_next<ROWS, 1, 0>(sums, numbers, w);
      add_next<ROWS, 1, 2>(sums, numbers, w);
      add_next<ROWS, 2, 0>(sums, numbers, w);
      add_next<ROWS, 2, 2>(sums, numbers, w);
      add_next<ROWS, 3, 0>(sums, numbers, w);
      add_next<ROWS, 3, 2>(sums, numbers, w);
    }
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }

 private:
  // Bytes of weights of one step.
  static constexpr int STEP = DEPTH * INT8_PANEL;

  // Multiplies the QUAD-th four of each row's 16 activations by two vectors of weights, from column vector FIRST on. The
  // instruction selects the four itself.
  template <int ROWS, int QUAD, int FIRST, size_t NUMBERS>
  static INLINED void add(Ints (&sums)[ROWS][INT8_VECTORS], const int8x16_t (&numbers)[NUMBERS],
                          const int8x16_t (&columns)[2]) {
    UNROLLED for (int v = 0; v < 2; v++)
      UNROLLED for (int i = 0; i < ROWS; i++)
        sums[i][FIRST + v] = reinterpret_cast<Ints>(
            vdotq_laneq_s32(reinterpret_cast<int32x4_t>(sums[i][FIRST + v]), columns[v], numbers[i], QUAD));
  }

  // The same with weights of the step before `next`.
  template <int ROWS, int QUAD, int FIRST, size_t NUMBERS>
  static INLINED void add_next(Ints (&sums)[ROWS][INT8_VECTORS], const int8x16_t (&numbers)[NUMBERS],
                               const int8_t* next) {
    // Accumulators and activations leave two registers for weights, so this barrier keeps loads from being hoisted,
    // which would spill accumulators.
    __asm__ volatile("" : : : "memory");
    const int8_t* w = next - STEP + (QUAD * INT8_VECTORS + FIRST) * 4 * LANES;
    const int8x16_t columns[2] = {vld1q_s8(w), vld1q_s8(w + 4 * LANES)};
    add<ROWS, QUAD, FIRST>(sums, numbers, columns);
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
