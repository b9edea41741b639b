// Int8 products of fixed-width SIMD: products of 16 bits, which are added in pairs. Activations are widened once for all
// panels, weights when they are loaded.
#pragma once

#include "isa/compute/gemm.h"

namespace {

// The most activations that are widened at once; they lie on the stack.
constexpr int MAX_WIDENED = 16384;

struct Fixed {
  static constexpr int TILE_ROWS = FIXED_ROWS, PANEL = INT8_PANEL;

  // The activations are int16_t.
  template <int ROWS, bool FETCH>
  static SHARED_CODE void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    // One vector of columns after the other, because each takes two accumulators for each row.
    for (int v = 0; v < PANEL; v += LANES) {
      Ints sums[ROWS][1];
      add_products(rows, first, weight, column, v, sums);
      const TileOutput to = {output.data + v, output.stride, output.residual ? output.residual + v : nullptr,
                             output.residual_stride};
      add_starts(sums, weight, column + v);
      epilogue_int8(sums, rows, first, weight, column + v, has_relu, to);
    }
  }

 private:
  template <int ROWS>
  static INLINED void add_products(const Rows& rows, int first, const Weight& weight, int column, int v,
                                   Ints (&sums)[ROWS][1]) {
    const int k = round_up(weight.k, DEPTH);
    const size_t stride = static_cast<size_t>(rows.stride);
    const int16_t* a = static_cast<const int16_t*>(rows.data) + first * stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k + v * GROUP;
    // Each column has two sums next to each other: of the first two of four weights, and of the other two.
    Ints left[ROWS] = {}, right[ROWS] = {};
    for (const int8_t* end = w + static_cast<size_t>(k) * PANEL; w != end; w += GROUP * PANEL, a += GROUP) {
      const v128_t first_columns = wasm_i16x8_load8x8(w), last_columns = wasm_i16x8_load8x8(w + 2 * GROUP);
      UNROLLED for (int i = 0; i < ROWS; i++) {
        const v128_t quad = wasm_v128_load64_splat(a + i * stride);
        left[i] += reinterpret_cast<Ints>(wasm_i32x4_dot_i16x8(first_columns, quad));
        right[i] += reinterpret_cast<Ints>(wasm_i32x4_dot_i16x8(last_columns, quad));
        // One row after the other: V8 has 15 registers on x86-64, and would spill accumulators if LLVM loaded all rows
        // first.
        __asm__ volatile("" : "+r"(left[i]), "+r"(right[i]) : : "memory");
      }
    }
    UNROLLED for (int i = 0; i < ROWS; i++)
      sums[i][0] = __builtin_shufflevector(left[i], right[i], 0, 2, 4, 6) +
                   __builtin_shufflevector(left[i], right[i], 1, 3, 5, 7);
  }
};

// Widens activations; `count` is a multiple of GROUP.
inline void widen(const int8_t* from, int count, int16_t* to) {
  int i = 0;
  for (; i + 8 <= count; i += 8) wasm_v128_store(to + i, wasm_i16x8_load8x8(from + i));
  for (; i < count; i++) to[i] = from[i];
}

// A product of rows that are too long to be widened.
__attribute__((noinline)) void multiply_one_by_one(const Rows& rows, int count, const Weight& weight,
                                                   const Output& output) {
  const int k = round_up(weight.k, DEPTH);
  for (int i = 0; i < count; i++)
    for (int j = 0; j < weight.n; j++) {
      const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(i) * rows.stride;
      const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(j / INT8_PANEL * INT8_PANEL) * k;
      int32_t sum = weight.starts ? weight.starts[j] : 0;
      for (int s = 0; s < k; s++)
        sum += a[s] * w[static_cast<size_t>(s / GROUP) * GROUP * INT8_PANEL + packed_offset(j % INT8_PANEL, s % GROUP)];
      float y = static_cast<float>(sum) * rows.steps[i] * weight.scales[j];
      if (weight.bias) y += weight.bias[j];
      if (output.relu && y < 0.0f) y = 0.0f;
      if (output.residual) y += output.residual[static_cast<size_t>(i) * output.residual_stride + j];
      output.data[static_cast<size_t>(i) * output.stride + j] = y;
    }
}

void multiply_fixed(const Rows& rows, int count, const Weight& weight, const Output& output) {
  const int k = round_up(weight.k, DEPTH), at_once = MAX_WIDENED / k;
  if (at_once == 0) return multiply_one_by_one(rows, count, weight, output);
  alignas(mbert::CACHE_LINE) int16_t widened[MAX_WIDENED];
  for (int first = 0; first < count; first += at_once) {
    const int some = count - first < at_once ? count - first : at_once;
    for (int i = 0; i < some; i++)
      widen(static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first + i) * rows.stride, k, widened + i * k);
    const Output to = {output.data + static_cast<size_t>(first) * output.stride, output.stride, output.relu,
                       output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride : nullptr,
                       output.residual_stride};
    multiply<Fixed>({widened, k, rows.steps + first, rows.starts + first}, some, weight, to);
  }
}

}  // namespace
