// Products with float16 weights in float16 arithmetic (FEAT_FP16): 8 products in one instruction, twice as many as in
// float32. Included after isa/compute.h by an instruction set that has defined CUSTOM_MULTIPLY_HALF.
#pragma once

#include "isa/compute/gemm.h"

namespace {

struct Half {
  static constexpr int TILE_ROWS = 8, PANEL = FLOAT_PANEL, VECTORS = PANEL / 8;
  // Products that are added up in float16, before their sum is added to a float32 sum. With more, sums would lose too many
  // digits: on a model with spikes in its first token, the outputs' centred error is 3.4e-3 with 32, 5.0e-3 with 64 and
  // 8.7e-3 with all; 2.7e-3 of it are in the file.
  static constexpr int BLOCK = 32;

  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    static_assert(LANES == 4 && PANEL == 16);
    const float* a = static_cast<const float*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const uint16_t* w = static_cast<const uint16_t*>(weight.panels) + static_cast<size_t>(column) * weight.k;
    Floats sums[ROWS][FLOAT_VECTORS] = {};
    const int blocks_end = weight.k / 8 * 8;
    for (int begin = 0; begin < blocks_end; begin += BLOCK) {
      const int end = begin + BLOCK < blocks_end ? begin + BLOCK : blocks_end;
      float16x8_t partial[ROWS][VECTORS] = {};
      for (int s = begin; s < end; s += 8, w += 8 * PANEL) {
        if (FETCH) fetch_ahead<8 * PANEL * sizeof(uint16_t), FLOAT_AHEAD>(w);
        float16x8_t numbers[ROWS];
        UNROLLED for (int i = 0; i < ROWS; i++) {
          const float* row = a + static_cast<size_t>(i) * rows.stride + s;
          numbers[i] = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(row)), vld1q_f32(row + 4));
        }
        add<ROWS, 0>(partial, numbers, w);
        add<ROWS, 1>(partial, numbers, w);
        add<ROWS, 2>(partial, numbers, w);
        add<ROWS, 3>(partial, numbers, w);
        add<ROWS, 4>(partial, numbers, w);
        add<ROWS, 5>(partial, numbers, w);
        add<ROWS, 6>(partial, numbers, w);
        add<ROWS, 7>(partial, numbers, w);
      }
      UNROLLED for (int i = 0; i < ROWS; i++)
        UNROLLED for (int v = 0; v < VECTORS; v++) {
          sums[i][2 * v] += reinterpret_cast<Floats>(vcvt_f32_f16(vget_low_f16(partial[i][v])));
          sums[i][2 * v + 1] += reinterpret_cast<Floats>(vcvt_high_f32_f16(partial[i][v]));
        }
    }
    add_products(sums, a + blocks_end, rows.stride, w, PANEL, weight.k - blocks_end);
    if (__builtin_expect(!are_finite(sums), false)) {
      // A sum was out of range in float16, or is not finite in float32 either.
      for (int i = 0; i < ROWS; i++)
        Float<uint16_t>::tile<1, false>(rows, first + i, weight, column, has_relu, row_of(output, i));
      return;
    }
    epilogue(sums, weight.bias ? weight.bias + column : nullptr, has_relu, output);
  }

 private:
  template <int ROWS>
  static INLINED bool are_finite(const Floats (&sums)[ROWS][FLOAT_VECTORS]) {
    Floats zeros{};
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < FLOAT_VECTORS; v++) zeros = fma(sums[i][v], Floats{}, zeros);
    return vmaxvq_u32(reinterpret_cast<uint32x4_t>(zeros != Floats{})) == 0;
  }

  static TileOutput row_of(const TileOutput& output, int i) {
    return {output.data + i * output.stride, output.stride,
            output.residual ? output.residual + i * output.residual_stride : nullptr, output.residual_stride};
  }

  // Adds the products of the STEP-th of each row's 8 numbers, which the instruction selects itself.
  template <int ROWS, int STEP>
  static INLINED void add(float16x8_t (&sums)[ROWS][VECTORS], const float16x8_t (&numbers)[ROWS], const uint16_t* w) {
    UNROLLED for (int v = 0; v < VECTORS; v++) {
      const float16x8_t columns = vreinterpretq_f16_u16(vld1q_u16(w + STEP * PANEL + v * 8));
      UNROLLED for (int i = 0; i < ROWS; i++) sums[i][v] = vfmaq_laneq_f16(sums[i][v], columns, numbers[i], STEP);
    }
  }
};

void multiply_half(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Half>(rows, count, weight, output);
}

}  // namespace
