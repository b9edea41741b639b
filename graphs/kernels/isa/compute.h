// The arithmetic of the kernels, written once. A file that includes this has defined, for one instruction set:
//
//   LANES, HAS_FMA            see vectors.h
//   VECTORS, TILE_ROWS        a tile of a product is TILE_ROWS rows by VECTORS vectors, so that it stays in registers
//   SCORE_ROWS, SCORE_VECTORS likewise for attention's scores
//   VALUE_VECTORS             likewise for its values, with SCORE_ROWS, too
//   UNSIGNED_WEIGHTS          whether `dot` takes weights plus 128 (and the sum of the row makes up for it)
//   Prepared, prepare(Bytes)  a vector of weights, made ready once for all rows of a tile
//   Quad, spread(const Number*)  four activations, for every column
//   dot(Ints, Prepared, Quad) adds the products of four activations and four weights of each column
//
// and perhaps, before `vectors.h` and this:
//
//   OWN_MULTIPLY_INT8         that it brings its own products of bytes, and none of Prepared, Quad, dot
//   GROUP, DEPTH              weights of one column that lie beside each other, and the multiple of which k is made
//   BY_LANE                   that a vector can be multiplied by one lane of another
//   PAIRED_ROWS               that activations lie in pairs of rows: eight of one, eight of the other
//   WIDE_ROWS                 that activations have 16 bits, and weights lie thus: of four the first, third, second, fourth
//   PAIRED_WEIGHTS            that of four weights the first two, of all columns of a vector, lie before the other two
//
// Int8 products are the same numbers with every instruction set: the sums are integers, and what follows them is
// single multiplications and additions, never fused.
#pragma once

#include "isa/isa.h"
#include "isa/vectors.h"

namespace {

using mbert::ATTENTION_ROWS;
using mbert::Head;
using mbert::Output;
using mbert::Rows;
using mbert::Weight;
using mbert::rounded_up;

#ifndef GROUP
#define GROUP 4
#endif
#ifndef DEPTH
#define DEPTH GROUP
#endif

// Parts of a tile. Its sums stay in registers only if all is one function, and no loop over them is left.
#define INLINED __attribute__((always_inline)) inline
#define UNROLLED _Pragma("clang loop unroll(full)")

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

// Where the weights of a panel's columns lie that belong together.
inline int lies_at(int column, int i) {
#ifdef PAIRED_WEIGHTS
  return column / LANES * 4 * LANES + i / 2 * 2 * LANES + column % LANES * 2 + i % 2;
#elif defined(WIDE_ROWS)
  return column * GROUP + i % 2 * 2 + i / 2;
#else
  return column * GROUP + i;
#endif
}

void pack_int8(const int8_t* weight, int k, int n, void* panels) {
  int8_t* to = static_cast<int8_t*>(panels);
  for (int column = 0; column < n; column += PANEL)
    for (int row = 0; row < rounded_up(k, DEPTH); row += GROUP, to += GROUP * PANEL)
      for (int j = 0; j < PANEL; j++)
        for (int i = 0; i < GROUP; i++) {
          const bool is_there = row + i < k && column + j < n;
          const int8_t number = is_there ? weight[static_cast<size_t>(row + i) * n + column + j] : 0;
          to[lies_at(j, i)] = static_cast<int8_t>(number + SHIFT);
        }
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
constexpr int32_t INFINITE_BITS = 0x7f800000;

inline float as_float(int32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

inline Ints larger(Ints a, Ints b) { return __builtin_elementwise_max(a, b); }

// Rows are read so many numbers at once.
constexpr int CHUNK = 4 * LANES;

// Calls each(i, x + i) for every chunk of a row; behind the row's end there are zeros.
template <class Each>
inline void in_chunks(const float* x, int k, Each each) {
  int i = 0;
  for (; i + CHUNK <= k; i += CHUNK) each(i, x + i);
  if (i == k) return;
  float last[CHUNK] = {};
  for (int j = 0; i + j < k; j++) last[j] = x[i + j];
  each(i, last);
}

// Writes a chunk of a row of `stride` numbers.
inline void put(Number* rows, int row, int stride, int i, Numbers numbers) {
#ifdef PAIRED_ROWS
  static_assert(CHUNK == 16 && DEPTH % CHUNK == 0);
  int8_t* to = rows + static_cast<size_t>(row / 2) * 2 * stride + row % 2 * 8 + 2 * i;
  __builtin_memcpy(to, &numbers, 8);
  __builtin_memcpy(to + 16, reinterpret_cast<const char*>(&numbers) + 8, 8);
#else
  Number* to = rows + static_cast<size_t>(row) * stride + i;
  if (DEPTH % CHUNK == 0 || i + CHUNK <= stride)
    *reinterpret_cast<LooseNumbers*>(to) = numbers;
  else
    __builtin_memcpy(to, &numbers, static_cast<size_t>(stride - i) * sizeof(Number));
#endif
}

void quantize(const float* x, int x_stride, int rows, int k, void* numbers, int stride, float* steps, int32_t* sums) {
  Number* q = static_cast<Number*>(numbers);
  for (int row = 0; row < rows; row++, x += x_stride) {
    // The largest magnitude, as an integer: so order what is infinite or no number above all others.
    Ints largest[4] = {};
    in_chunks(x, k, [&](int, const float* part) {
      for (int v = 0; v < 4; v++) {
        largest[v] = larger(largest[v], reinterpret_cast<Ints>(load(part + v * LANES)) & 0x7fffffff);
      }
    });
    const int32_t bits = __builtin_reduce_max(larger(larger(largest[0], largest[1]), larger(largest[2], largest[3])));
    const float peak = as_float(bits);
    const bool finite = bits < INFINITE_BITS;
    const bool any = finite && peak >= LEAST;
    // What is not finite makes a row of products that are not, either: its step is NaN.
    steps[row] = any ? peak / MOST : finite ? 0.0f : as_float(0x7fc00000);
    sums[row] = 0;
    if (!any) {
      in_chunks(x, k, [&](int i, const float*) { put(q, row, stride, i, Numbers{}); });
      continue;
    }
    const float scale = MOST / peak;
    Ints sum{};
    in_chunks(x, k, [&](int i, const float* part) {
      Ints whole[4];
      for (int v = 0; v < 4; v++) {
        whole[v] = nearest(load(part + v * LANES) * scale);
        if (UNSIGNED_WEIGHTS) sum += whole[v];
      }
      put(q, row, stride, i, narrow(whole));
    });
    if (UNSIGNED_WEIGHTS) sums[row] = __builtin_reduce_add(sum);
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

template <int ROWS, bool RELU, bool RESIDUAL>
INLINED void write(const Floats (&sums)[ROWS][VECTORS], const float* bias, Place place) {
  Floats biases[VECTORS] = {};
  if (bias)
    UNROLLED for (int v = 0; v < VECTORS; v++) biases[v] = load(bias + v * LANES);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) {
      Floats y = sums[i][v] + biases[v];
      if (RELU) y = larger(y, Floats{});
      if (RESIDUAL) y += load(place.residual + i * place.residual_stride + v * LANES);
      store(place.data + i * place.stride + v * LANES, y);
    }
}

template <int ROWS>
INLINED void finish(const Floats (&sums)[ROWS][VECTORS], const float* bias, bool has_relu, const Place& place) {
  if (place.residual)
    write<ROWS, false, true>(sums, bias, place);
  else if (has_relu)
    write<ROWS, true, false>(sums, bias, place);
  else
    write<ROWS, false, false>(sums, bias, place);
}

// The same of sums that are whole numbers, which `rows` and `weight` have steps for.
template <int ROWS>
INLINED void finish_int8(const Ints (&sums)[ROWS][VECTORS], const Rows& rows, int first, const Weight& weight, int column,
                        bool has_relu, const Place& place) {
  Floats found[ROWS][VECTORS];
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) {
      const Ints exact = UNSIGNED_WEIGHTS ? sums[i][v] - SHIFT * rows.sums[first + i] : sums[i][v];
      found[i][v] = __builtin_convertvector(exact, Floats) * rows.steps[first + i];
      found[i][v] *= load(weight.scales + column + v * LANES);
    }
  finish<ROWS>(found, weight.bias ? weight.bias + column : nullptr, has_relu, place);
}

template <int ROWS, int COUNT>
INLINED void add_product(Floats (&sums)[ROWS][COUNT], const Floats (&factors)[ROWS], const float* columns) {
  Floats loaded[COUNT];
  UNROLLED for (int v = 0; v < COUNT; v++) loaded[v] = load(columns + v * LANES);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) sums[i][v] = fma(factors[i], loaded[v], sums[i][v]);
}

// sums[i][v] += Σ rows[i][s] · columns[s][v] over `depth` places. FETCH: the columns lie behind each other, far away.
template <int ROWS, int COUNT, bool FETCH = false>
INLINED void add_products(Floats (&sums)[ROWS][COUNT], const float* rows, size_t row_stride, const float* columns,
                         size_t column_stride, int depth) {
  int s = 0;
#ifdef BY_LANE
  for (; s + LANES <= depth; s += LANES) {
    if (FETCH) fetch_ahead<4 * LANES * COUNT * LANES>(columns);
    Floats numbers[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++) numbers[i] = load(rows + i * row_stride + s);
    UNROLLED for (int lane = 0; lane < LANES; lane++, columns += column_stride) {
      Floats factors[ROWS];
      UNROLLED for (int i = 0; i < ROWS; i++) factors[i] = all(numbers[i][lane]);
      add_product(sums, factors, columns);
    }
  }
#endif
  for (; s < depth; s++, columns += column_stride) {
    if (FETCH) fetch_ahead<4 * COUNT * LANES>(columns);
    Floats factors[ROWS];
    UNROLLED for (int i = 0; i < ROWS; i++) factors[i] = all(rows[i * row_stride + s]);
    add_product(sums, factors, columns);
  }
}

#ifndef OWN_MULTIPLY_INT8
struct Int8 {
  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    const int k = rounded_up(weight.k, DEPTH);
    const Number* a = static_cast<const Number*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    Ints sums[ROWS][VECTORS] = {};
    for (int step = 0; step < k; step += 4, w += 4 * PANEL) {
      if (FETCH) fetch_ahead<4 * PANEL>(w);
      Prepared columns[VECTORS];
      UNROLLED for (int v = 0; v < VECTORS; v++) columns[v] = prepare(load_bytes(w + v * 4 * LANES));
      UNROLLED for (int i = 0; i < ROWS; i++) {
        const Quad quad = spread(a + static_cast<size_t>(i) * rows.stride + step);
        UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
      }
    }
    finish_int8<ROWS>(sums, rows, first, weight, column, has_relu, place);
  }
};
#endif

struct Float {
  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const Place& place) {
    const float* a = static_cast<const float*>(rows.data) + static_cast<size_t>(first) * rows.stride;
    const float* w = static_cast<const float*>(weight.panels) + static_cast<size_t>(column) * weight.k;
    Floats sums[ROWS][VECTORS] = {};
    add_products<ROWS, VECTORS, FETCH>(sums, a, rows.stride, w, PANEL, weight.k);
    finish<ROWS>(sums, weight.bias ? weight.bias + column : nullptr, has_relu, place);
  }
};

// Of a few rows of a panel, the columns that there are.
__attribute__((noinline)) void copy_columns(const float* from, int from_stride, int rows, int columns, float* to,
                                            int to_stride) {
  for (int i = 0; i < rows; i++, from += from_stride, to += to_stride)
    for (int j = 0; j < columns; j++) to[j] = from[j];
}

// A tile of a panel that may be cut off at the weight's last column: then it is written beside, and copied.
template <class Kind, int ROWS, bool FETCH>
inline void tile(const Rows& rows, int first, const Weight& weight, int column, const Output& output) {
  float* to = output.data + static_cast<size_t>(first) * output.stride + column;
  const float* residual = output.residual ? output.residual + static_cast<size_t>(first) * output.residual_stride + column
                                          : nullptr;
  Place place{to, output.stride, residual, output.residual_stride};
  float beside[ROWS * PANEL], added[ROWS * PANEL];
  const int columns = weight.n - column;
  if (columns < PANEL) {
    place = {beside, PANEL, residual ? added : nullptr, PANEL};
    if (residual) copy_columns(residual, output.residual_stride, ROWS, columns, added, PANEL);
  }
  Kind::template tile<ROWS, FETCH>(rows, first, weight, column, output.relu, place);
  if (columns < PANEL) copy_columns(beside, PANEL, ROWS, columns, to, output.stride);
}

// The last rows of a block, fewer than a tile has.
template <class Kind, int ROWS>
inline void rest(const Rows& rows, int first, int count, const Weight& weight, int column, const Output& output) {
  if constexpr (ROWS > 0) {
    if (count == ROWS)
      tile<Kind, ROWS, true>(rows, first, weight, column, output);
    else
      rest<Kind, ROWS - 1>(rows, first, count, weight, column, output);
  }
}

template <class Kind>
inline void multiply(const Rows& rows, int count, const Weight& weight, const Output& output) {
  // A panel of weights stays in the nearest cache while all rows of the block go by; the first ones fetch the next.
  for (int column = 0; column < weight.n; column += PANEL) {
    int first = 0;
    for (; first + TILE_ROWS <= count; first += TILE_ROWS)
      if (first == 0)
        tile<Kind, TILE_ROWS, true>(rows, first, weight, column, output);
      else
        tile<Kind, TILE_ROWS, false>(rows, first, weight, column, output);
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
  x = larger(x, all(-87.0f));
  const Ints power = nearest(x * 1.44269504f);
  const Floats whole = __builtin_convertvector(power, Floats);
  const Floats rest = fma(whole, all(-LN2_REST), fma(whole, all(-LN2), x));
  Floats p = all(0.00138145394f);
  p = fma(p, rest, all(0.00836874545f));
  p = fma(p, rest, all(0.041668389f));
  p = fma(p, rest, all(0.166665211f));
  p = fma(p, rest, all(0.49999994f));
  p = fma(p, rest * rest, rest + 1.0f);
  return p * reinterpret_cast<Floats>((power + 127) << 23);
}

// Scores of ROWS rows and COUNT vectors of keys.
template <int ROWS, int COUNT>
inline void score(const float* query, int query_stride, const Head& head, int key, float* scores) {
  Floats sums[ROWS][COUNT] = {};
  add_products(sums, query, query_stride, head.keys + key, head.padded, head.size);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++)
      store(scores + i * head.padded + key + v * LANES, sums[i][v] + load(head.mask + key + v * LANES));
}

// The weighted sum of COUNT vectors of values' channels.
template <int ROWS, int COUNT>
inline void weigh(const float* scores, const float (&factors)[ROWS], const Head& head, int channel, float* out,
                  int out_stride) {
  Floats sums[ROWS][COUNT] = {};
  add_products(sums, scores, head.padded, head.values + channel, head.value_stride, head.length);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) {
      const Floats y = sums[i][v] * factors[i];
      float* to = out + static_cast<size_t>(i) * out_stride + channel + v * LANES;
      const int left = head.size - channel - v * LANES;
      if (COUNT > 1 || left >= LANES)
        store(to, y);
      else
        for (int lane = 0; lane < left; lane++) to[lane] = y[lane];
    }
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
  UNROLLED for (int i = 0; i < ROWS; i++) {
    float* row = scores + static_cast<size_t>(i) * head.padded;
    Floats peaks = load(row);
    for (int k = LANES; k < padded; k += LANES) peaks = larger(load(row + k), peaks);
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
  int c = 0;
  for (; c + VALUE_VECTORS * LANES <= head.size; c += VALUE_VECTORS * LANES)
    weigh<ROWS, VALUE_VECTORS>(scores, factors, head, c, out, out_stride);
  for (; c < head.size; c += LANES) weigh<ROWS, 1>(scores, factors, head, c, out, out_stride);
}

// As many rows at once as ROWS, then half as many, and so on.
template <int ROWS>
inline void attend_by(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                      int out_stride) {
  int i = 0;
  for (; i + ROWS <= count; i += ROWS)
    attend_rows<ROWS>(query + static_cast<size_t>(i) * query_stride, query_stride, head, scores,
                      out + static_cast<size_t>(i) * out_stride, out_stride);
  if constexpr (ROWS > 1)
    attend_by<ROWS / 2>(query + static_cast<size_t>(i) * query_stride, query_stride, count - i, head, scores,
                        out + static_cast<size_t>(i) * out_stride, out_stride);
}

void attend(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
            int out_stride) {
  static_assert(SCORE_ROWS <= ATTENTION_ROWS);
  attend_by<SCORE_ROWS>(query, query_stride, count, head, scores, out, out_stride);
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
    UNROLLED for (int v = 0; v < VECTORS; v++) kept[i][v] = sums[i][v];
  __asm__ volatile("" : : "r"(kept) : "memory");
}

// Adds to so many sums, each so many times, what `add` adds.
template <int SUMS, class Vector, class Add>
inline void add_times(int64_t times, Add add) {
  Vector sums[SUMS] = {}, kept[SUMS];
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : : "memory");
    UNROLLED for (int i = 0; i < SUMS; i++) sums[i] = add(sums[i]);
  }
  UNROLLED for (int i = 0; i < SUMS; i++) kept[i] = sums[i];
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
      UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
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
      UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] = fma(x, columns[v], sums[i][v]);
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
