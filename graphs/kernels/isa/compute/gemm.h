// Matrix products (GEMM): a tile of ROWS rows by one panel of columns is accumulated in registers, and its epilogue
// dequantizes, adds bias and residual, applies ReLU, and stores.
#pragma once

#include "isa/compute/half.h"
#include "isa/compute/tile.h"

namespace {

// Where a tile reads its residual and stores its result: in the output, or in a buffer where a panel is not full.
struct TileOutput {
  float* data;
  int stride;
  const float* residual;
  int residual_stride;
  int panels = 1;  // int8 in WebAssembly: how many panels a tile computes, one after the other
};

// The epilogue of float accumulators: bias, ReLU, residual, then the store. Each part is there once and is skipped where
// a product lacks it: variants for each combination would make the library larger by all its tiles.
template <int ROWS, int COUNT>
INLINED void epilogue(Floats (&sums)[ROWS][COUNT], const float* bias, bool has_relu, const TileOutput& output) {
  if (bias)
    UNROLLED for (int v = 0; v < COUNT; v++) {
      const Floats column = load(bias + v * LANES);
      UNROLLED for (int i = 0; i < ROWS; i++) sums[i][v] += column;
    }
  if (has_relu)
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < COUNT; v++) sums[i][v] = maximum(sums[i][v], Floats{});
  if (output.residual)
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < COUNT; v++)
        sums[i][v] += load(output.residual + i * output.residual_stride + v * LANES);
  float* const data = output.data;  // a store might change `output`, for all that the compiler knows
  const int stride = output.stride;
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) store(data + i * stride + v * LANES, sums[i][v]);
}

// The epilogue of int32 accumulators: dequantizes by the row's step and the column's scale, then as above.
template <int ROWS, int COUNT>
INLINED void epilogue_int8(const Ints (&sums)[ROWS][COUNT], const Rows& rows, int first, const Weight& weight,
                           int column, bool has_relu, const TileOutput& output) {
  Floats dequantized[ROWS][COUNT];
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) {
      dequantized[i][v] = __builtin_convertvector(sums[i][v], Floats) * rows.steps[first + i];
      dequantized[i][v] *= load(weight.scales + column + v * LANES);
    }
  epilogue(dequantized, weight.bias ? weight.bias + column : nullptr, has_relu, output);
}

// The same for a tile whose accumulators are in memory, [rows][vectors]: for tiles of few rows, where code is to be small.
// Adds first what the accumulators of each column start with.
__attribute__((noinline, unused)) void finish_in_memory(const Ints* sums, int tile_rows, int vectors, const Rows& rows,
                                                        int first, const Weight& weight, int column, bool has_relu,
                                                        const TileOutput& output) {
  for (int i = 0; i < tile_rows; i++)
    for (int v = 0; v < vectors; v++) {
      const int at = column + v * LANES, to = i * output.stride + v * LANES;
      Ints sum = *sums++;
      if (weight.starts) sum += reinterpret_cast<Ints>(load_bytes(weight.starts + at));
      Floats y[1][1] = {{__builtin_convertvector(sum, Floats) * rows.steps[first + i]}};
      y[0][0] *= load(weight.scales + at);
      epilogue(y, weight.bias ? weight.bias + at : nullptr, has_relu,
               {output.data + to, 0,
                output.residual ? output.residual + i * output.residual_stride + v * LANES : nullptr, 0});
    }
}

// Adds what the accumulators of each column start with.
template <int ROWS, int COUNT>
INLINED void add_starts(Ints (&sums)[ROWS][COUNT], const Weight& weight, int column) {
  if (!weight.starts) return;
  UNROLLED for (int v = 0; v < COUNT; v++) {
    const Ints start = reinterpret_cast<Ints>(load_bytes(weight.starts + column + v * LANES));
    UNROLLED for (int i = 0; i < ROWS; i++) sums[i][v] += start;
  }
}

// The most rows of a tile that is finished in memory.
constexpr int FEW_ROWS = 3;

// sums[i][v] += factors[i] · columns[v]: an outer product of one column of activations and one row of a panel.
template <int ROWS, int COUNT, class Element>
INLINED void add_product(Floats (&sums)[ROWS][COUNT], const Floats (&factors)[ROWS], const Element* columns) {
  Floats loaded[COUNT];
  UNROLLED for (int v = 0; v < COUNT; v++) loaded[v] = load_columns(columns + v * LANES);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) sums[i][v] = fma(factors[i], loaded[v], sums[i][v]);
}

// sums[i][v] += Σ rows[i][s] · columns[s][v] for s < depth. FETCH: prefetches the columns, which must be contiguous.
// Element: float, or uint16_t for the bits of float16.
template <int ROWS, int COUNT, bool FETCH = false, class Element>
INLINED void add_products(Floats (&sums)[ROWS][COUNT], const float* rows, size_t row_stride, const Element* columns,
                         size_t column_stride, int depth) {
  constexpr int BYTES = sizeof(Element) * COUNT * LANES;
  int s = 0;
#ifdef BY_LANE
  for (; s + LANES <= depth; s += LANES) {
    if (FETCH) fetch_ahead<LANES * BYTES, FLOAT_AHEAD>(columns);
    Floats numbers[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++) numbers[i] = load(rows + i * row_stride + s);
    UNROLLED for (int lane = 0; lane < LANES; lane++, columns += column_stride) {
      Floats factors[ROWS];
      UNROLLED for (int i = 0; i < ROWS; i++) factors[i] = splat(numbers[i][lane]);
      add_product(sums, factors, columns);
    }
  }
#endif
  for (; s < depth; s++, columns += column_stride) {
    if (FETCH) fetch_ahead<BYTES, FLOAT_AHEAD>(columns);
    Floats factors[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++) factors[i] = splat(rows[i * row_stride + s]);
    add_product(sums, factors, columns);
  }
}

// The rest of a tile of int8 products after its accumulators.
template <int ROWS, int COUNT>
INLINED void finish(Ints (&sums)[ROWS][COUNT], const Rows& rows, int first, const Weight& weight, int column,
                    bool has_relu, const TileOutput& output) {
  if constexpr (SMALL_CODE && ROWS <= FEW_ROWS) {
    finish_in_memory(sums[0], ROWS, COUNT, rows, first, weight, column, has_relu, output);
  } else {
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }
}

#ifndef CUSTOM_MULTIPLY_INT8
struct Int8 {
  static constexpr int TILE_ROWS = INT8_ROWS, PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const int k = round_up(weight.k, DEPTH);
    const int8_t* a = static_cast<const int8_t*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    Ints sums[ROWS][INT8_VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < INT8_VECTORS; v++)
        sums[i][v] = UNSIGNED_WEIGHTS ? splat(rows.starts[first + i]) : Ints{};
    for (int step = 0; step < k; step += 4, w += 4 * PANEL) {
      if (FETCH) fetch_ahead<4 * PANEL, INT8_AHEAD>(w);
      Prepared columns[INT8_VECTORS];
      UNROLLED for (int v = 0; v < INT8_VECTORS; v++) columns[v] = prepare(load_bytes(w + v * 4 * LANES));
      UNROLLED for (int i = 0; i < ROWS; i++) {
        const Quad quad = splat_quad(a + static_cast<size_t>(i) * rows.stride + step);
        UNROLLED for (int v = 0; v < INT8_VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
      }
    }
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }
};
#endif

// A product with float weights. Element: their type; float, or uint16_t for the bits of float16.
template <class Element, int MOST_ROWS = FLOAT_ROWS>
struct Float {
  static constexpr int TILE_ROWS = MOST_ROWS, PANEL = FLOAT_PANEL;

  template <int ROWS, bool FETCH>
  static SHARED_CODE void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const float* a = static_cast<const float*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const Element* w = static_cast<const Element*>(weight.panels) + static_cast<size_t>(column) * weight.k;
    Floats sums[ROWS][FLOAT_VECTORS] = {};
    add_products<ROWS, FLOAT_VECTORS, FETCH>(sums, a, rows.stride, w, FLOAT_PANEL, weight.k);
    epilogue(sums, weight.bias ? weight.bias + column : nullptr, has_relu, output);
  }
};

// Copies `rows` rows of `columns` columns: the part of a panel that the weight has.
__attribute__((noinline)) void copy_columns(const float* from, int from_stride, int rows, int columns, float* to,
                                            int to_stride) {
  for (int i = 0; i < rows; i++, from += from_stride, to += to_stride)
    for (int j = 0; j < columns; j++) to[j] = from[j];
}

using TileFunction = void (*)(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                              const TileOutput& output);

// The tiles of a kind by their number of rows, which prefetch where the instruction set does.
template <class Kind>
struct Tiles {
  TileFunction of_rows[Kind::TILE_ROWS + 1] = {};
  constexpr Tiles() { fill<Kind::TILE_ROWS>(); }

 private:
  template <int ROWS>
  constexpr void fill() {
    if (!SMALL_CODE || ROWS != 5) of_rows[ROWS] = Kind::template tile<ROWS != 5 || !SMALL_CODE ? ROWS : 1, PREFETCHES>;
    if constexpr (ROWS > 1) fill<ROWS - 1>();
  }
};
template <class Kind>
constexpr Tiles<Kind> TILES;

// Where a tile of whole panels reads and writes.
inline TileOutput output_of(const Output& output, int first, int column) {
  const float* residual =
      output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride + column : nullptr;
  return {output.data + static_cast<size_t>(first) * output.stride + column, output.stride, residual,
          output.residual_stride};
}

#if !SMALL_CODE
// Computes one tile of `tile_rows` rows. Where the weight ends within the panel, the tile goes to a buffer, and its valid
// columns are copied. The tile is a pointer, because a variant of this for each tile would be a tenth of the library.
template <class Kind>
__attribute__((noinline)) void compute_tile(TileFunction tile, int tile_rows, const Rows& rows, int first,
                                            const Weight& weight, int column, const Output& output) {
  constexpr int PANEL = Kind::PANEL;
  const TileOutput to = output_of(output, first, column);
  const int columns = weight.n - column;
  if (columns >= PANEL) {
    tile(rows, first, weight, column, output.relu, to);
    return;
  }
  float buffer[Kind::TILE_ROWS * PANEL], residual_buffer[Kind::TILE_ROWS * PANEL];
  if (to.residual) copy_columns(to.residual, to.residual_stride, tile_rows, columns, residual_buffer, PANEL);
  tile(rows, first, weight, column, output.relu, {buffer, PANEL, to.residual ? residual_buffer : nullptr, PANEL});
  copy_columns(buffer, PANEL, tile_rows, columns, to.data, to.stride);
}
#endif

// How many rows are in whole tiles, and in the two tiles after them. A tile of few rows has too few accumulators to hide
// the latency of a product, so where few rows are left, they share the rows of one whole tile.
struct RowSplit {
  int whole, half, last;
  RowSplit(int count, int tile_rows) {
    int tiles = count / tile_rows, left = count % tile_rows;
    if (tiles && left && left <= tile_rows / 2 - SMALL_CODE) tiles--, left += tile_rows;
    whole = tiles * tile_rows;
    half = left > tile_rows ? (left / 2 + 1) & ~1 : 0;  // even, for rows that are interleaved by pairs
    if (SMALL_CODE && left == 5) half = 2;  // without a tile of 5 rows
    last = left - half;
  }
};

#if SMALL_CODE
// A product by the tiles of any kind: one function for all, where code is to be small.
template <int MOST>
__attribute__((noinline)) void multiply_by(const TileFunction* tiles, int tile_rows, int panel, const Rows& rows, int count,
                                           const Weight& weight, const Output& output) {
  float buffer[MOST], residual_buffer[MOST];
  const RowSplit split(count, tile_rows);
  for (int column = 0; column < weight.n; column += panel)
    for (int first = 0, some; first < count; first += some) {
      some = first < split.whole ? tile_rows : split.half && first == split.whole ? split.half : split.last;
      const TileOutput to = output_of(output, first, column);
      const int columns = weight.n - column;
      if (columns >= panel) {
        tiles[some](rows, first, weight, column, output.relu, to);
        continue;
      }
      // Where the weight ends within the panel, the tile goes to a buffer, and its valid columns are copied.
      if (to.residual) copy_columns(to.residual, to.residual_stride, some, columns, residual_buffer, panel);
      tiles[some](rows, first, weight, column, output.relu,
                  {buffer, panel, to.residual ? residual_buffer : nullptr, panel});
      copy_columns(buffer, panel, some, columns, to.data, to.stride);
    }
}

template <class Kind>
inline void multiply(const Rows& rows, int count, const Weight& weight, const Output& output) {
  constexpr int MOST = 64;
  static_assert(Kind::TILE_ROWS * Kind::PANEL <= MOST && Kind::TILE_ROWS <= 6);
  multiply_by<MOST>(TILES<Kind>.of_rows, Kind::TILE_ROWS, Kind::PANEL, rows, count, weight, output);
}
#else
template <class Kind>
inline void multiply(const Rows& rows, int count, const Weight& weight, const Output& output) {
  constexpr int TILE_ROWS = Kind::TILE_ROWS;
  const RowSplit split(count, TILE_ROWS);
  const auto compute = [&](TileFunction tile, int tile_rows, int first, int column) {
    if (!tile_rows) return;
    if (weight.n - column >= Kind::PANEL)
      tile(rows, first, weight, column, output.relu, output_of(output, first, column));
    else
      compute_tile<Kind>(tile, tile_rows, rows, first, weight, column, output);
  };
  // A panel of weights stays in the L1 cache while all rows of the block are multiplied by it; the first tile
  // prefetches.
  for (int column = 0; column < weight.n; column += Kind::PANEL) {
    const bool is_full = weight.n - column >= Kind::PANEL;
    int first = 0;
    for (; first < split.whole; first += TILE_ROWS)
      if (first && is_full)  // most tiles: without the detour
        Kind::template tile<TILE_ROWS, false>(rows, first, weight, column, output.relu,
                                              output_of(output, first, column));
      else
        compute(TILES<Kind>.of_rows[TILE_ROWS], TILE_ROWS, first, column);
    compute(TILES<Kind>.of_rows[split.half], split.half, first, column);
    compute(TILES<Kind>.of_rows[split.last], split.last, first + split.half, column);
  }
}
#endif

#ifndef CUSTOM_MULTIPLY_INT8
void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}
#endif

#ifndef SHARED_FLOAT
void multiply_float(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Float<float>>(rows, count, weight, output);
}

#ifndef CUSTOM_MULTIPLY_HALF
#ifndef HALF_ROWS
#define HALF_ROWS FLOAT_ROWS
#endif
#ifdef CONVERT_ONCE_FROM
// The largest panel that multiply_half converts to float32 before its products; it lies on the stack.
constexpr int MAX_CONVERTED = 16384;

void multiply_half(const Rows& rows, int count, const Weight& weight, const Output& output) {
  if (count < CONVERT_ONCE_FROM || weight.k > MAX_CONVERTED / FLOAT_PANEL) {
    multiply<Float<uint16_t, HALF_ROWS>>(rows, count, weight, output);
    return;
  }
  alignas(mbert::CACHE_LINE) float panel[MAX_CONVERTED];
  const uint16_t* from = static_cast<const uint16_t*>(weight.panels);
  Weight one = weight;
  Output to = output;
  one.panels = panel;
  for (int column = 0; column < weight.n; column += FLOAT_PANEL) {
    for (int i = 0; i < weight.k; i++, from += FLOAT_PANEL) {
      fetch_ahead<FLOAT_PANEL * sizeof(uint16_t), FLOAT_AHEAD>(from);
      for (int j = 0; j < FLOAT_PANEL; j += LANES) store(panel + i * FLOAT_PANEL + j, load_columns(from + j));
    }
    one.n = weight.n - column < FLOAT_PANEL ? weight.n - column : FLOAT_PANEL;
    multiply_float(rows, count, one, to);
    if (one.bias) one.bias += FLOAT_PANEL;
    to.data += FLOAT_PANEL;
    if (to.residual) to.residual += FLOAT_PANEL;
  }
}
#else
void multiply_half(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Float<uint16_t, HALF_ROWS>>(rows, count, weight, output);
}
#endif
#endif
#endif

}  // namespace
