// Dynamic quantization of activations: symmetric, 8 bits, with one step per row.
#pragma once

#include "isa/compute/tile.h"

namespace {

// The largest magnitude of a quantized activation: −128 is not used.
constexpr float QUANTIZED_MAX = 127.0f;
// Rows whose largest magnitude is below this become 0: their step would be a subnormal number.
constexpr float SMALLEST_PEAK = 1e-35f;
constexpr int32_t INFINITY_BITS = 0x7f800000;

inline float float_from_bits(int32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

inline Ints maximum(Ints a, Ints b) { return __builtin_elementwise_max(a, b); }

// Floats of a row that are read and quantized at once.
constexpr int CHUNK = 4 * LANES;

// Chunks of an unrolled loop; fewer in WebAssembly, whose code is downloaded.
#if LANES != 4
#define CHUNKS_AT_ONCE 1
#elif defined(__wasm__)
#define CHUNKS_AT_ONCE 2
#else
#define CHUNKS_AT_ONCE 4
#endif

// Loads a chunk.
INLINED void load_chunk(const float* x, Floats (&numbers)[4]) {
#if defined(__aarch64__)
  const float32x4x4_t four = vld1q_f32_x4(x);  // one instruction, where the compiler would take two
  UNROLLED for (int v = 0; v < 4; v++) numbers[v] = reinterpret_cast<Floats>(four.val[v]);
#else
  UNROLLED for (int v = 0; v < 4; v++) numbers[v] = load(x + v * LANES);
#endif
}

// Loads the first `count` numbers of a chunk, and zeros after them. Not inlined: it is rare, and would be in the library
// several times.
__attribute__((noinline)) void load_part(const float* x, int count, Floats (&numbers)[4]) {
  UNROLLED for (int v = 0; v < 4; v++, x += LANES, count -= LANES) {
    if (count >= LANES) {
      numbers[v] = load(x);
      continue;
    }
    float part[LANES] = {};
    for (int i = 0; i < count; i++) part[i] = x[i];
    numbers[v] = load(part);
  }
}

// Calls function(i, numbers) with the four vectors of every chunk of a row; the last chunk is padded with zeros.
template <class Function>
inline void for_each_chunk(const float* x, int k, Function function) {
  int i = 0;
#pragma clang loop unroll_count(CHUNKS_AT_ONCE)
  for (; i + CHUNK <= k; i += CHUNK) {
    Floats numbers[4];
    load_chunk(x + i, numbers);
    function(i, numbers);
  }
  if (i == k) return;
  if (LANES == 16 && k - i == 2 * LANES) {  // a head of MobileBERT
    const Floats numbers[4] = {load(x + i), load(x + i + LANES)};
    function(i, numbers);
    return;
  }
  if (LANES == 16 && k - i == LANES) {  // a head of the built-in student
    const Floats numbers[4] = {load(x + i)};
    function(i, numbers);
    return;
  }
  Floats numbers[4];
  load_part(x + i, k - i, numbers);
  function(i, numbers);
}

#ifndef PAIRED_ROWS
// Stores the first bytes of a chunk. It is a function of its own, because a vector whose address is taken is in memory.
__attribute__((noinline)) void store_part(int8_t* to, Bytes chunk, int bytes) {
  __builtin_memcpy(to, &chunk, static_cast<size_t>(bytes));
}
#endif

// Stores one chunk, which begins at column i, of a row of `stride` activations.
inline void store_chunk(int8_t* rows, int row, int stride, int i, Bytes chunk) {
#ifdef PAIRED_ROWS
  static_assert(CHUNK == 16 && DEPTH % CHUNK == 0);
  int8_t* to = rows + static_cast<size_t>(row / 2) * 2 * stride + row % 2 * PAIRED_ROWS + 2 * i;
  UNROLLED for (int part = 0; part < CHUNK; part += PAIRED_ROWS)
    __builtin_memcpy(to + 2 * part, reinterpret_cast<const char*>(&chunk) + part, PAIRED_ROWS);
#else
  int8_t* to = rows + static_cast<size_t>(row) * stride + i;
  if (DEPTH % CHUNK == 0 || i + CHUNK <= stride)
    *reinterpret_cast<UnalignedBytes*>(to) = chunk;
  else
    store_part(to, chunk, stride - i);
#endif
}

// Reduces each of LANES vectors to one number, and returns these as one vector. Each step combines pairs of vectors and
// moves the highest bit of the row index below the lowest bit of the lane index, as `transpose` does.
template <class Vector, class Operation>
INLINED Vector reduce_rows(Vector (&rows)[LANES], Operation operation) {
  UNROLLED for (int n = LANES / 2; n; n /= 2)
    UNROLLED for (int i = 0; i < n; i++) {
      const Vector low = __builtin_shufflevector(rows[i], rows[i + n], INTERLEAVED_LOW);
      const Vector high = __builtin_shufflevector(rows[i], rows[i + n], INTERLEAVED_HIGH);
      rows[i] = operation(low, high);
    }
  return rows[0];
}

// Writes the steps of LANES rows whose largest magnitudes have these bits, and the factors that numbers are multiplied
// by before they are rounded. The factor is 0 for a row of zeros, and for one that is not finite: its step is NaN, so
// that its products are NaN, too.
SHARED_CODE void scales_of(Ints peaks, float* steps, float* factors) {
  const Floats peak = reinterpret_cast<Floats>(peaks);
  const Ints is_finite = peaks < INFINITY_BITS;
  const Ints is_nonzero = is_finite & (peak >= SMALLEST_PEAK);
  const Ints step = reinterpret_cast<Ints>(peak / QUANTIZED_MAX) & is_nonzero;
  store(steps, reinterpret_cast<Floats>(step | (~is_finite & 0x7fc00000)));
  store(factors, reinterpret_cast<Floats>(reinterpret_cast<Ints>(QUANTIZED_MAX / peak) & is_nonzero));
}

// The largest magnitude of a row, by lane, compared as integers: this order puts infinities and NaN above all other
// numbers.
inline Ints largest_of_row(const float* x, int k) {
  Ints largest[4] = {};
  for_each_chunk(x, k, [&](int, const Floats (&numbers)[4]) {
    UNROLLED for (int v = 0; v < 4; v++)
      largest[v] = maximum(largest[v], reinterpret_cast<Ints>(numbers[v]) & 0x7fffffff);
  });
  return maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3]));
}

// Sets the vectors after the first `rows` to 0.
template <class... Vector>
inline void clear_after(int rows, Vector (&... vectors)[LANES]) {
  for (int i = rows; i < LANES; i++) ((vectors[i] = Vector{}), ...);
}

// Writes the steps and factors of at most LANES rows.
SHARED_CODE void scale_rows(const float* x, int x_stride, int rows, int k, float* steps, float* factors) {
  Ints largest[LANES];
  clear_after(rows, largest);
  for (int i = 0; i < rows; i++) largest[i] = largest_of_row(x + static_cast<size_t>(i) * x_stride, k);
  scales_of(reduce_rows(largest, [](Ints a, Ints b) { return maximum(a, b); }), steps, factors);
}

inline Bytes quantize_chunk(const Floats (&numbers)[4], float factor, int32_t offset = 0) {
  Ints rounded[4];
  UNROLLED for (int v = 0; v < 4; v++) rounded[v] = round_to_nearest(numbers[v] * factor) - offset;
  return narrow(rounded);
}

// Adds the bytes of a chunk, where weights are unsigned: as `dot` with weights of 1.
inline Ints add_bytes(Ints sum, Bytes chunk) {
#if UNSIGNED_WEIGHTS
  return dot(sum, prepare(Bytes{} + 1), reinterpret_cast<Quad>(chunk));
#else
  (void)chunk;
  return sum;
#endif
}

// Stores what the accumulators of rows start with, from the sums of their bytes by lane: where weights are unsigned, 128
// too large, -128 times the sum.
inline void store_starts(Ints (&sums)[LANES], int rows, int32_t* starts) {
  int32_t totals[LANES] = {};
  if (UNSIGNED_WEIGHTS) {
    const Ints all = reduce_rows(sums, [](Ints a, Ints b) { return a + b; });
    __builtin_memcpy(totals, &all, sizeof(all));
  }
  for (int i = 0; i < rows; i++) starts[i] = -SHIFT * totals[i];
}

// Rounds at most LANES rows times their factors: chunk_of(column, numbers, factor) returns the bytes of a chunk.
template <class Function>
inline void round_rows(const float* x, int x_stride, int rows, int k, const float* factors, int8_t* q, int first,
                       int stride, int32_t* starts, Function chunk_of) {
  Ints sum[LANES];
  clear_after(rows, sum);
  for (int i = 0; i < rows; i++) {
    const float factor = factors[i];
    const float* row = x + static_cast<size_t>(i) * x_stride;
    if (factor == 0.0f) {  // times a number that is not finite, it would be NaN
      for (int column = 0; column < k; column += CHUNK) store_chunk(q, first + i, stride, column, Bytes{});
      sum[i] = Ints{};
      continue;
    }
    Ints total{};
    for_each_chunk(row, k, [&](int column, const Floats (&numbers)[4]) {
      const Bytes chunk = chunk_of(column, numbers, factor);
      total = add_bytes(total, chunk);
      store_chunk(q, first + i, stride, column, chunk);
    });
    sum[i] = total;
  }
  store_starts(sum, rows, starts);
}

void quantize(const float* x, int x_stride, int rows, int k, void* quantized, int stride, float* steps, int32_t* starts) {
  for (int first = 0; first < rows; first += LANES, x += static_cast<size_t>(LANES) * x_stride) {
    const int count = rows - first < LANES ? rows - first : LANES;
    float found[LANES], factors[LANES];
    scale_rows(x, x_stride, count, k, found, factors);
    for (int i = 0; i < count; i++) steps[first + i] = found[i];
    round_rows(x, x_stride, count, k, factors, static_cast<int8_t*>(quantized), first, stride, starts + first,
               [](int, const Floats (&numbers)[4], float factor) { return quantize_chunk(numbers, factor); });
  }
}

}  // namespace
