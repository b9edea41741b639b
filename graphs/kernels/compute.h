// The arithmetic of the kernels, written once. A file that includes this has defined, for one instruction set:
//
//   LANES, HAS_FMA            see vectors.h
//   VECTORS, TILE_ROWS        a tile of a product is TILE_ROWS rows by VECTORS vectors, so that it stays in registers
//   SCORE_ROWS, SCORE_VECTORS likewise for attention's scores, where a row by two vectors must fit, too
//   UNSIGNED_WEIGHTS          whether `dot` takes weights plus 128 (and the sum of the row makes up for it)
//   Prepared, prepare(Bytes)  a vector of weights, made ready once for all rows of a tile
//   WIDE_ROWS                 whether activations are kept in 16 bits, those at even places of four before the others
//   Quad, spread(const Number*)  four activations, for every column
//   dot(Ints, Prepared, Quad) adds the products of four activations and four weights of each column
//
// Int8 products are the same numbers with every instruction set: the sums are integers, and what follows them is
// single multiplications and additions, never fused.
#pragma once

#include "isa.h"
#include "vectors.h"

namespace {

using mbert::ATTENTION_ROWS;
using mbert::Head;
using mbert::Output;
using mbert::Rows;
using mbert::Weight;
using mbert::rounded_up;

// Weights of one column that lie beside each other, and the multiple of which k is made.
#ifndef GROUP
#define GROUP 4
#endif
#ifndef DEPTH
#define DEPTH GROUP
#endif

constexpr int PANEL = LANES * VECTORS;
constexpr int32_t SHIFT = UNSIGNED_WEIGHTS ? 128 : 0;

// How far ahead weights are fetched. Short texts read all of them once, from far away, and what the processor fetches by
// itself ends with each page of 4096 bytes. Behind the end of a weight lies the next one.
#ifndef AHEAD
#define AHEAD 8192
#endif

// Fetches as many bytes as are read at `weights` now.
template <int BYTES>
inline void fetch_ahead(const void* weights) {
  for (int line = 0; line < BYTES; line += static_cast<int>(mbert::CACHE_LINE))
    __builtin_prefetch(static_cast<const char*>(weights) + AHEAD + line);
}

// Packing

void pack_int8(const int8_t* weight, int k, int n, void* panels) {
  int8_t* to = static_cast<int8_t*>(panels);
  for (int column = 0; column < n; column += PANEL)
    for (int row = 0; row < rounded_up(k, DEPTH); row += GROUP)
      for (int j = column; j < column + PANEL; j++)
        for (int i = row; i < row + GROUP; i++)
          *to++ = static_cast<int8_t>((i < k && j < n ? weight[static_cast<size_t>(i) * n + j] : 0) + SHIFT);
}

void pack_float(const float* weight, int k, int n, void* panels) {
  float* to = static_cast<float*>(panels);
  for (int column = 0; column < n; column += PANEL)
    for (int i = 0; i < k; i++)
      for (int j = column; j < column + PANEL; j++) *to++ = j < n ? weight[static_cast<size_t>(i) * n + j] : 0.0f;
}

// Quantizing

constexpr float MOST = 127.0f;
// Rows that are smaller than this are 0: their steps would not be normal numbers.
constexpr float LEAST = 1e-35f;
// x + ROUNDER has x, rounded to the nearest even integer, in its last bits.
constexpr float ROUNDER = 12582912.0f;
constexpr int32_t ROUNDER_BITS = 0x4b400000;
constexpr int32_t INFINITE_BITS = 0x7f800000;

inline float as_float(int32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

void quantize(const float* x, int x_stride, int rows, int k, void* numbers, int stride, float* steps, int32_t* sums) {
  Number* q = static_cast<Number*>(numbers);
  for (int row = 0; row < rows; row++, x += x_stride, q += stride) {
    // The largest magnitude, as an integer: so order what is infinite or no number above all others.
    Ints largest{};
    int i = 0;
    for (; i + LANES <= k; i += LANES) {
      const Ints size = reinterpret_cast<Ints>(load(x + i)) & 0x7fffffff;
      largest = size > largest ? size : largest;
    }
    int32_t bits = 0;
    for (int lane = 0; lane < LANES; lane++) bits = largest[lane] > bits ? largest[lane] : bits;
    for (int j = i; j < k; j++) {
      int32_t size;
      __builtin_memcpy(&size, x + j, 4);
      size &= 0x7fffffff;
      bits = size > bits ? size : bits;
    }
    const float peak = as_float(bits);
    const bool finite = bits < INFINITE_BITS;
    const bool any = finite && peak >= LEAST;
    // What is not finite makes a row of products that are not, either: its step is NaN.
    steps[row] = any ? peak / MOST : finite ? 0.0f : as_float(0x7fc00000);
    if (!any) {
      for (int j = 0; j < stride; j++) q[j] = 0;
      sums[row] = 0;
      continue;
    }
    const float scale = MOST / peak;
    Ints sum{};
    for (i = 0; i + LANES <= k; i += LANES) {
      const Ints whole = reinterpret_cast<Ints>(load(x + i) * scale + ROUNDER) - ROUNDER_BITS;
      sum += whole;
      *reinterpret_cast<LooseNumbers*>(q + i) = in_place(__builtin_convertvector(whole, Numbers));
    }
    int32_t total = 0;
    for (int lane = 0; lane < LANES; lane++) total += sum[lane];
    for (; i < k; i++) {
      const float shifted = x[i] * scale + ROUNDER;
      int32_t whole;
      __builtin_memcpy(&whole, &shifted, 4);
      whole -= ROUNDER_BITS;
      total += whole;
      q[place(i)] = static_cast<Number>(whole);
    }
    for (; i < stride; i++) q[place(i)] = 0;
    sums[row] = total;
  }
}

// Products

// What a tile writes: its own numbers' place, or a place beside it where a panel is not full.
struct Place {
  float* data;
  int stride;
  const float* residual;
  int residual_stride;
};

template <int ROWS>
inline void finish(const Floats (&sums)[ROWS][VECTORS], const float* bias, bool has_relu, const Place& place) {
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) {
      Floats y = sums[i][v];
      if (bias) y += load(bias + v * LANES);
      if (has_relu) y = relu(y);
      if (place.residual) y += load(place.residual + i * place.residual_stride + v * LANES);
      store(place.data + i * place.stride + v * LANES, y);
    }
}

#ifndef OWN_MULTIPLY_INT8
struct Int8 {
  template <int ROWS>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    const int k = rounded_up(weight.k, DEPTH);
    const Number* a = static_cast<const Number*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    Ints sums[ROWS][VECTORS] = {};
    for (int step = 0; step < k; step += 4, w += 4 * PANEL) {
      fetch_ahead<4 * PANEL>(w);
      Prepared columns[VECTORS];
      for (int v = 0; v < VECTORS; v++) columns[v] = prepare(load_bytes(w + v * 4 * LANES));
      for (int i = 0; i < ROWS; i++) {
        const Quad quad = spread(a + static_cast<size_t>(i) * rows.stride + step);
        for (int v = 0; v < VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
      }
    }
    Floats found[ROWS][VECTORS];
    for (int i = 0; i < ROWS; i++)
      for (int v = 0; v < VECTORS; v++) {
        const Ints exact = UNSIGNED_WEIGHTS ? sums[i][v] - SHIFT * rows.sums[first + i] : sums[i][v];
        found[i][v] = __builtin_convertvector(exact, Floats) * rows.steps[first + i];
        found[i][v] *= load(weight.scales + column + v * LANES);
      }
    finish<ROWS>(found, weight.bias ? weight.bias + column : nullptr, has_relu, place);
  }
};
#endif

struct Float {
  template <int ROWS>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    const float* a = static_cast<const float*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const float* w = static_cast<const float*>(weight.panels) + static_cast<size_t>(column) * weight.k;
    Floats sums[ROWS][VECTORS] = {};
    for (int step = 0; step < weight.k; step++, w += PANEL) {
      fetch_ahead<4 * PANEL>(w);
      Floats columns[VECTORS];
      for (int v = 0; v < VECTORS; v++) columns[v] = load(w + v * LANES);
      for (int i = 0; i < ROWS; i++) {
        const Floats x = all(a[static_cast<size_t>(i) * rows.stride + step]);
        for (int v = 0; v < VECTORS; v++) sums[i][v] = fma(x, columns[v], sums[i][v]);
      }
    }
    finish<ROWS>(sums, weight.bias ? weight.bias + column : nullptr, has_relu, place);
  }
};

// A tile of a panel that may be cut off at the weight's last column.
template <class Kind, int ROWS>
inline void tile(const Rows& rows, int first, const Weight& weight, int column, const Output& output) {
  float* to = output.data + static_cast<size_t>(first) * output.stride + column;
  const float* residual = output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride + column
                                          : nullptr;
  if (column + PANEL <= weight.n) {
    Kind::template tile<ROWS>(rows, first, weight, column, output.relu, {to, output.stride, residual, output.residual_stride});
    return;
  }
  float beside[ROWS * PANEL], added[ROWS * PANEL];
  const int columns = weight.n - column;
  if (residual)
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < PANEL; j++) added[i * PANEL + j] = j < columns ? residual[i * output.residual_stride + j] : 0.0f;
  Kind::template tile<ROWS>(rows, first, weight, column, output.relu, {beside, PANEL, residual ? added : nullptr, PANEL});
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < columns; j++) to[i * output.stride + j] = beside[i * PANEL + j];
}

// The last rows of a block, fewer than a tile has.
template <class Kind, int ROWS>
inline void rest(const Rows& rows, int first, int count, const Weight& weight, int column, const Output& output) {
  if constexpr (ROWS > 0) {
    if (count == ROWS)
      tile<Kind, ROWS>(rows, first, weight, column, output);
    else
      rest<Kind, ROWS - 1>(rows, first, count, weight, column, output);
  }
}

template <class Kind>
inline void multiply(const Rows& rows, int count, const Weight& weight, const Output& output) {
  // A panel of weights stays in the nearest cache while all rows of the block go by.
  for (int column = 0; column < weight.n; column += PANEL) {
    int first = 0;
    for (; first + TILE_ROWS <= count; first += TILE_ROWS) tile<Kind, TILE_ROWS>(rows, first, weight, column, output);
    rest<Kind, TILE_ROWS - 1>(rows, first, count - first, weight, column, output);
  }
}

#ifndef OWN_MULTIPLY_INT8
void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Int8>(rows, count, weight, output);
}
#endif

void multiply_float(const Rows& rows, int count, const Weight& weight, const Output& output) {
  multiply<Float>(rows, count, weight, output);
}

// Attention

// ln 2 in two parts, of which the first has so few digits that a whole number times it is exact.
constexpr float LN2 = 0.693115234375f, LN2_REST = 3.19461833e-05f;

// e^x for x ≤ 0; about 1e-38 below -87. With x = n·ln 2 + r it is 2^n · (1 + r + r²·p(r)), where p's coefficients make
// the largest relative error for |r| ≤ ln 2 / 2 least (3e-9; a weighted least squares fit).
inline Floats exp_of(Floats x) {
  x = x < all(-87.0f) ? all(-87.0f) : x;
  const Floats shifted = x * 1.44269504f + ROUNDER;
  const Floats whole = shifted - ROUNDER;
  const Floats rest = fma(whole, all(-LN2_REST), fma(whole, all(-LN2), x));
  Floats p = all(0.00138145394f);
  p = fma(p, rest, all(0.00836874545f));
  p = fma(p, rest, all(0.041668389f));
  p = fma(p, rest, all(0.166665211f));
  p = fma(p, rest, all(0.49999994f));
  p = fma(p, rest * rest, rest + 1.0f);
  const Ints power = (reinterpret_cast<Ints>(shifted) - ROUNDER_BITS + 127) << 23;
  return p * reinterpret_cast<Floats>(power);
}

// Scores of ROWS rows and COUNT vectors of keys.
template <int ROWS, int COUNT>
inline void score(const float* query, int query_stride, const Head& head, int key, float* scores) {
  Floats sums[ROWS][COUNT] = {};
  for (int d = 0; d < head.size; d++) {
    const float* keys = head.keys + static_cast<size_t>(d) * head.padded + key;
    Floats columns[COUNT];
    for (int v = 0; v < COUNT; v++) columns[v] = load(keys + v * LANES);
    for (int i = 0; i < ROWS; i++) {
      const Floats q = all(query[static_cast<size_t>(i) * query_stride + d]);
      for (int v = 0; v < COUNT; v++) sums[i][v] = fma(q, columns[v], sums[i][v]);
    }
  }
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < COUNT; v++)
      store(scores + i * head.padded + key + v * LANES, sums[i][v] + load(head.mask + key + v * LANES));
}

template <int ROWS>
inline void attend_rows(const float* query, int query_stride, const Head& head, float* scores, float* out,
                        int out_stride) {
  const int padded = rounded_up(head.length, LANES);
  int j = 0;
  for (; j + SCORE_VECTORS * LANES <= padded; j += SCORE_VECTORS * LANES)
    score<ROWS, SCORE_VECTORS>(query, query_stride, head, j, scores);
  for (; j < padded; j += LANES) score<ROWS, 1>(query, query_stride, head, j, scores);
  // Softmax.
  float factors[ROWS];
  for (int i = 0; i < ROWS; i++) {
    float* row = scores + static_cast<size_t>(i) * head.padded;
    Floats peaks = load(row);
    for (int k = LANES; k < padded; k += LANES) {
      const Floats x = load(row + k);
      peaks = x > peaks ? x : peaks;
    }
    float peak = peaks[0];
    for (int lane = 1; lane < LANES; lane++) peak = peaks[lane] > peak ? peaks[lane] : peak;
    Floats sums{};
    for (int k = 0; k < padded; k += LANES) {
      const Floats e = exp_of(load(row + k) - peak);
      sums += e;
      store(row + k, e);
    }
    factors[i] = 1.0f / sum_of(sums);
  }
  // The weighted sum of the values, two vectors of channels at a time.
  for (int c = 0; c < head.size; c += 2 * LANES) {
    const bool two = c + LANES < head.size;
    Floats sums[ROWS][2] = {};
    for (int k = 0; k < head.length; k++) {
      const float* values = head.values + static_cast<size_t>(k) * head.value_stride + c;
      const Floats first = load(values), second = two ? load(values + LANES) : Floats{};
      for (int i = 0; i < ROWS; i++) {
        const Floats p = all(scores[static_cast<size_t>(i) * head.padded + k]);
        sums[i][0] = fma(p, first, sums[i][0]);
        sums[i][1] = fma(p, second, sums[i][1]);
      }
    }
    for (int i = 0; i < ROWS; i++)
      for (int v = 0; v < 2; v++) {
        const Floats y = sums[i][v] * factors[i];
        float* to = out + static_cast<size_t>(i) * out_stride + c + v * LANES;
        const int left = head.size - c - v * LANES;
        if (left >= LANES)
          store(to, y);
        else
          for (int lane = 0; lane < left; lane++) to[lane] = y[lane];
      }
  }
}

void attend(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
            int out_stride) {
  static_assert(SCORE_ROWS <= ATTENTION_ROWS);
  int i = 0;
  for (; i + SCORE_ROWS <= count; i += SCORE_ROWS)
    attend_rows<SCORE_ROWS>(query + static_cast<size_t>(i) * query_stride, query_stride, head, scores,
                            out + static_cast<size_t>(i) * out_stride, out_stride);
  for (; i < count; i++)
    attend_rows<1>(query + static_cast<size_t>(i) * query_stride, query_stride, head, scores,
                   out + static_cast<size_t>(i) * out_stride, out_stride);
}

void transpose(const float* from, int from_stride, int rows, int columns, float* to, int to_stride) {
  const auto in = [=](int i, int j) { return from + static_cast<size_t>(i) * from_stride + j; };
  const auto out = [=](int i, int j) { return to + static_cast<size_t>(j) * to_stride + i; };
  int i = 0;
  for (; i + LANES <= rows; i += LANES) {
    int j = 0;
    for (; j + LANES <= columns; j += LANES) {
      Floats block[LANES];
      for (int k = 0; k < LANES; k++) block[k] = load(in(i + k, j));
      transpose(block);
      for (int k = 0; k < LANES; k++) store(out(i, j + k), block[k]);
    }
    for (; j < columns; j++)
      for (int k = 0; k < LANES; k++) *out(i + k, j) = *in(i + k, j);
  }
  for (; i < rows; i++)
    for (int j = 0; j < columns; j++) *out(i, j) = *in(i, j);
}

#ifdef MBERT_PROFILE
// Keeps a loop's work from being left out. It takes a copy: what has an address does not stay in registers.
template <class Vector>
inline void keep(const Vector (&sums)[TILE_ROWS][VECTORS]) {
  Vector kept[TILE_ROWS][VECTORS];
  for (int i = 0; i < TILE_ROWS; i++)
    for (int v = 0; v < VECTORS; v++) kept[i][v] = sums[i][v];
  __asm__ volatile("" : : "r"(kept) : "memory");
}

#ifndef OWN_MULTIPLY_INT8
int64_t peak_int8(int64_t times) {
  Ints sums[TILE_ROWS][VECTORS] = {};
  alignas(64) Number numbers[4 * LANES + 4 * TILE_ROWS] = {1};
  Prepared columns[VECTORS];
  for (Prepared& one : columns) one = prepare(load_bytes(numbers));
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : "r"(numbers) : "memory");
    for (int i = 0; i < TILE_ROWS; i++) {
      const Quad quad = spread(numbers + 4 * i);  // rows that are alike would be multiplied once
      for (int v = 0; v < VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
    }
  }
  keep(sums);
  return static_cast<int64_t>(TILE_ROWS) * VECTORS * LANES * 4;
}
#endif

int64_t peak_float(int64_t times) {
  Floats sums[TILE_ROWS][VECTORS] = {}, columns[VECTORS] = {};
  alignas(64) float numbers[LANES] = {1};
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : "r"(numbers) : "memory");
    const Floats x = all(numbers[0]);
    for (int i = 0; i < TILE_ROWS; i++)
      for (int v = 0; v < VECTORS; v++) sums[i][v] = fma(x, columns[v], sums[i][v]);
  }
  keep(sums);
  return static_cast<int64_t>(TILE_ROWS) * VECTORS * LANES;
}
#endif

}  // namespace

#ifdef MBERT_PROFILE
#define PEAKS , peak_int8, peak_float
#else
#define PEAKS
#endif

#define MBERT_ISA(symbol, label, is_there)                                                                      \
  namespace mbert {                                                                                             \
  extern const Isa symbol;                                                                                      \
  const Isa symbol = {label,      is_there, PANEL,         LANES,          DEPTH, pack_int8,                    \
                      pack_float, quantize, multiply_int8, multiply_float, attend, transpose PEAKS};            \
  }
