// Int8 products of fixed-width SIMD: products of 16 bits, which are added in pairs. Activations are widened once for all
// panels, weights when they are loaded.
#pragma once

#include "isa/compute/gemm.h"

namespace {

// The product of a kind of tiles, of which it calls the larger ones directly: by pointers, as `multiply` does, products of
// 128 activations take a twelfth longer. Each tile of rows reads the whole weight, in one sweep, which the hardware
// prefetcher follows; then the weight is in the L2 cache. Where all rows were multiplied by one panel before the next one
// was read, 32 tokens took 1.13 times as long on an AMD EPYC 9005.
template <class Kind>
INLINED void multiply_directly(const Rows& rows, int count, const Weight& weight, const Output& output) {
  constexpr int TILE_ROWS = Kind::TILE_ROWS, FEWER = 4;
  if (weight.n % Kind::PANEL || count < FEWER) return multiply<Kind>(rows, count, weight, output);
  const RowSplit split(count, TILE_ROWS);
  int first = 0;
  const auto compute = [&](TileFunction tile, int tile_rows) {
    for (int column = 0; column < weight.n; column += Kind::PANEL)
      tile(rows, first, weight, column, output.relu, output_of(output, first, column));
    first += tile_rows;
  };
  while (first < split.whole) compute(Kind::template tile<TILE_ROWS, false>, TILE_ROWS);
  const int left[] = {split.half, split.last};
  for (const int some : left)
    if (some == FEWER)
      compute(Kind::template tile<FEWER, false>, FEWER);
    else if (some)
      compute(TILES<Kind>.of_rows[some], some);
}

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
      finish(sums, rows, first, weight, column + v, has_relu, to);
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

// Rows that are too long to be widened: one at a time, widened where they are used.
struct Long {
  static constexpr int TILE_ROWS = 1, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                   const TileOutput& output) {
    const int k = round_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    Ints sums[ROWS][INT8_VECTORS] = {};
    for (int s = 0; s < k; s += GROUP, w += GROUP * PANEL)
      for (int j = 0; j < PANEL * GROUP; j++) sums[0][j / GROUP / LANES][j / GROUP % LANES] += a[s + j % GROUP] * w[j];
    finish(sums, rows, first, weight, column, has_relu, output);
  }
};

void multiply_fixed(const Rows& rows, int count, const Weight& weight, const Output& output) {
  const int k = round_up(weight.k, DEPTH), at_once = MAX_WIDENED / k;
  if (at_once == 0) return multiply<Long>(rows, count, weight, output);
  alignas(mbert::CACHE_LINE) int16_t widened[MAX_WIDENED];
  for (int first = 0; first < count; first += at_once) {
    const int some = count - first < at_once ? count - first : at_once;
    for (int i = 0; i < some; i++)
      widen(static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first + i) * rows.stride, k, widened + i * k);
    const Output to = {output.data + static_cast<size_t>(first) * output.stride, output.stride, output.relu,
                       output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride : nullptr,
                       output.residual_stride};
    multiply_directly<Fixed>({widened, k, rows.steps + first, rows.starts + first}, some, weight, to);
  }
}

}  // namespace
