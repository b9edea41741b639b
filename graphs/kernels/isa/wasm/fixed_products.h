// Int8 products of fixed-width SIMD: products of 16 bits, which are added in pairs. Activations are widened once for all
// panels. Weights need not be: a word of two weights of different columns, 256·second + first, is multiplied as it is, and
// once more after a shift that leaves the second one. The difference is the product of the first one, which is stored plus
// 128, because the low byte of a word has no sign. On an AMD EPYC 9005, 128 tokens took 1.09 times as long with weights that
// were widened when they were loaded, and 8 tokens 1.15 times with weights in 16 bits, which are twice as much memory.
#pragma once

#include "isa/compute/gemm.h"

namespace {

// Tiles compute several panels, one after the other, which takes a call less for each: `TileOutput::panels`.
INLINED void next_panel(TileOutput& output) {
  output.data += INT8_PANEL;
  if (output.residual) output.residual += INT8_PANEL;
}

// The product by the tiles of a kind. Each tile of rows reads the whole weight, in one sweep, which the hardware prefetcher
// follows; then the weight is in the L2 cache. Where all rows were multiplied by one panel before the next one was read, 32
// tokens took 1.13 times as long on an AMD EPYC 9005.
__attribute__((noinline)) void sweep(const TileFunction* tiles, int tile_rows, const Rows& rows, int count,
                                     const Weight& weight, const Output& output) {
  const RowSplit split(count, tile_rows);
  for (int first = 0, some; first < count; first += some) {
    some = first < split.whole ? tile_rows : split.half && first == split.whole ? split.half : split.last;
    TileOutput to = output_of(output, first, 0);
    to.panels = weight.n / INT8_PANEL;
    tiles[some](rows, first, weight, 0, output.relu, to);
  }
}

template <class Kind>
inline void multiply_in_sweeps(const Rows& rows, int count, const Weight& weight, const Output& output) {
  static_assert(Kind::PANEL == INT8_PANEL);
  if (weight.n % INT8_PANEL)
    multiply<Kind>(rows, count, weight, output);
  else
    sweep(TILES<Kind>.of_rows, Kind::TILE_ROWS, rows, count, weight, output);
}

// The most activations that are widened at once; they lie on the stack.
constexpr int MAX_WIDENED = 16384;

struct Fixed {
  static constexpr int TILE_ROWS = FIXED_ROWS, PANEL = INT8_PANEL;

  // The activations are int16_t.
  template <int ROWS, bool FETCH>
  static SHARED_CODE void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    static_assert(GROUP == 4 && INT8_VECTORS == 2);
    const size_t k = static_cast<size_t>(round_up(weight.k, DEPTH)), stride = static_cast<size_t>(rows.stride);
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    const int8_t* end = w;
    TileOutput to = output;
    for (; to.panels; to.panels--, column += PANEL, next_panel(to)) {
      const int16_t* a[ROWS];
      UNROLLED for (int i = 0; i < ROWS; i++) a[i] = static_cast<const int16_t*>(rows.data) + (first + i) * stride;
      // Sums of products with words, and with their second weights. They may overflow, which the difference undoes.
      Ints both[ROWS], second[ROWS] = {};
      UNROLLED for (int i = 0; i < ROWS; i++) both[i] = splat(rows.starts[first + i]);
      for (end += k * PANEL; w != end; w += GROUP * PANEL) {
        // LLVM has constant offsets, which V8 needs fewer instructions for, only for pointers that it did not derive
        // itself.
        __asm__("" : "+r"(w));
        UNROLLED for (int i = 0; i < ROWS; i++) __asm__("" : "+r"(a[i]));
        UNROLLED for (size_t pair = 0; pair < 2; pair++) {
          const v128_t words = wasm_v128_load(reinterpret_cast<const Words*>(w)->of_pair[pair]);
          const v128_t high = wasm_i16x8_shr(words, 8);
          UNROLLED for (int i = 0; i < ROWS; i++) {
            const v128_t factors = wasm_v128_load32_splat(reinterpret_cast<const Pairs*>(a[i])->of_pair[pair]);
            both[i] += reinterpret_cast<Ints>(wasm_i32x4_dot_i16x8(words, factors));
            second[i] += reinterpret_cast<Ints>(wasm_i32x4_dot_i16x8(high, factors));
            // One row after the other: V8 has 15 registers on x86-64, and would spill accumulators if LLVM loaded all
            // rows first.
            __asm__ volatile("" : "+r"(both[i]), "+r"(second[i]) : : "memory");
          }
        }
        UNROLLED for (int i = 0; i < ROWS; i++) a[i] += GROUP;
      }
      Ints sums[ROWS][INT8_VECTORS];
      UNROLLED for (int i = 0; i < ROWS; i++) {
        sums[i][0] = both[i] - (second[i] << 8);
        sums[i][1] = second[i];
      }
      finish(sums, rows, first, weight, column, has_relu, to);
    }
  }

 private:
  // Two activations of a row at a time, and two weights of each column of a panel.
  struct Pairs {
    int16_t of_pair[GROUP / 2][2];
  };
  struct Words {
    int8_t of_pair[GROUP / 2][2 * PANEL];
  };
};

// Widens a row of activations; `count` is a multiple of GROUP. Returns what its accumulators start with: weights of the
// first vector of columns are 128 too large, so that is -128 times their sum.
inline int32_t widen(const int8_t* from, int count, int16_t* to) {
  Ints sums{};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    const v128_t wide = wasm_i16x8_load8x8(from + i);
    wasm_v128_store(to + i, wide);
    sums += reinterpret_cast<Ints>(wasm_i32x4_dot_i16x8(wide, wasm_i16x8_splat(-128)));
  }
  int32_t sum = sums[0] + sums[1] + sums[2] + sums[3];
  for (; i < count; i++) to[i] = from[i], sum -= 128 * from[i];
  return sum;
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
      for (int j = 0; j < PANEL; j++)
        for (int i = 0; i < GROUP; i++)
          sums[0][j / LANES][j % LANES] += a[s + i] * packed_byte(w[packed_offset(j, i)], j);
    finish(sums, rows, first, weight, column, has_relu, output);
  }
};

void multiply_fixed(const Rows& rows, int count, const Weight& weight, const Output& output) {
  const int k = round_up(weight.k, DEPTH), at_once = MAX_WIDENED / k;
  if (at_once == 0) return multiply<Long>(rows, count, weight, output);
  alignas(mbert::CACHE_LINE) int16_t widened[MAX_WIDENED];
  int32_t starts[MAX_WIDENED / GROUP];
  for (int first = 0; first < count; first += at_once) {
    const int some = count - first < at_once ? count - first : at_once;
    for (int i = 0; i < some; i++)
      starts[i] = widen(static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first + i) * rows.stride, k,
                        widened + i * k);
    const Output to = {output.data + static_cast<size_t>(first) * output.stride, output.stride, output.relu,
                       output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride : nullptr,
                       output.residual_stride};
    multiply_in_sweeps<Fixed>({widened, k, rows.steps + first, starts}, some, weight, to);
  }
}

}  // namespace
