// Int8 products of relaxed SIMD: 16 products of bytes in one instruction, whose second factor, the weights, is signed or
// unsigned, as the engine chooses.
#pragma once

#include "isa/compute/gemm.h"

namespace {

struct Relaxed {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static SHARED_CODE void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const int k = round_up(weight.k, DEPTH);
    const size_t stride = static_cast<size_t>(rows.stride);
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    const int8_t* end = w;
    TileOutput to = output;
    for (; to.panels; to.panels--, column += PANEL, next_panel(to)) {
      const int8_t* a = static_cast<const int8_t*>(rows.data) + first * stride;
      Ints sums[ROWS][INT8_VECTORS];
      UNROLLED for (int i = 0; i < ROWS; i++)
        UNROLLED for (int v = 0; v < INT8_VECTORS; v++) sums[i][v] = splat(rows.starts[first + i]);
      for (end += static_cast<size_t>(k) * PANEL; w != end; w += GROUP * PANEL, a += GROUP) {
        v128_t columns[INT8_VECTORS];
        UNROLLED for (int v = 0; v < INT8_VECTORS; v++) columns[v] = wasm_v128_load(w + v * 4 * LANES);
        UNROLLED for (int i = 0; i < ROWS; i++) {
          const v128_t quad = wasm_v128_load32_splat(a + i * stride);
          UNROLLED for (int v = 0; v < INT8_VECTORS; v++) sums[i][v] = relaxed_dot(sums[i][v], columns[v], quad);
          // One row after the other: V8 has 15 registers on x86-64, and would spill accumulators if LLVM loaded all rows
          // first.
          UNROLLED for (int v = 0; v < INT8_VECTORS; v++) __asm__ volatile("" : "+r"(sums[i][v]) : : "memory");
        }
      }
      finish(sums, rows, first, weight, column, has_relu, to);
    }
  }
};

void multiply_relaxed(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply_in_sweeps<Relaxed>(rows, count, weight, output);
}

}  // namespace
