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

// Calls function(i, x + i) for every chunk of a row; the last chunk is padded with zeros.
template <class Function>
inline void for_each_chunk(const float* x, int k, Function function) {
  int i = 0;
  for (; i + CHUNK <= k; i += CHUNK) function(i, x + i);
  if (i == k) return;
  float last[CHUNK] = {};
  int j = 0;
  for (; i + j + LANES <= k; j += LANES) store(last + j, load(x + i + j));
  for (; i + j < k; j++) last[j] = x[i + j];
  function(i, last);
}

// Stores one chunk, which begins at column i, of a row of `stride` activations.
inline void store_chunk(int8_t* rows, int row, int stride, int i, Bytes chunk) {
#ifdef PAIRED_ROWS
  static_assert(CHUNK == 16 && DEPTH % CHUNK == 0);
  int8_t* to = rows + static_cast<size_t>(row / 2) * 2 * stride + row % 2 * 8 + 2 * i;
  __builtin_memcpy(to, &chunk, 8);
  __builtin_memcpy(to + 16, reinterpret_cast<const char*>(&chunk) + 8, 8);
#else
  int8_t* to = rows + static_cast<size_t>(row) * stride + i;
  if (DEPTH % CHUNK == 0 || i + CHUNK <= stride)
    *reinterpret_cast<UnalignedBytes*>(to) = chunk;
  else
    __builtin_memcpy(to, &chunk, static_cast<size_t>(stride - i));
#endif
}

void quantize(const float* x, int x_stride, int rows, int k, void* quantized, int stride, float* steps, int32_t* sums) {
  int8_t* q = static_cast<int8_t*>(quantized);
  for (int row = 0; row < rows; row++, x += x_stride) {
    // The largest magnitude, compared as integers: this order puts infinities and NaN above all other numbers.
    Ints largest[4] = {};
    for_each_chunk(x, k, [&](int, const float* chunk) {
      for (int v = 0; v < 4; v++) {
        largest[v] = maximum(largest[v], reinterpret_cast<Ints>(load(chunk + v * LANES)) & 0x7fffffff);
      }
    });
    const int32_t bits =
        __builtin_reduce_max(maximum(maximum(largest[0], largest[1]), maximum(largest[2], largest[3])));
    const float peak = float_from_bits(bits);
    const bool is_finite = bits < INFINITY_BITS;
    const bool is_nonzero = is_finite && peak >= SMALLEST_PEAK;
    // A row with an infinity or NaN gets the step NaN, so that its products are NaN, too.
    steps[row] = is_nonzero ? peak / QUANTIZED_MAX : is_finite ? 0.0f : float_from_bits(0x7fc00000);
    sums[row] = 0;
    if (!is_nonzero) {
      for_each_chunk(x, k, [&](int i, const float*) { store_chunk(q, row, stride, i, Bytes{}); });
      continue;
    }
    const float scale = QUANTIZED_MAX / peak;
    Ints sum{};
    for_each_chunk(x, k, [&](int i, const float* chunk) {
      Ints rounded[4];
      for (int v = 0; v < 4; v++) {
        rounded[v] = round_to_nearest(load(chunk + v * LANES) * scale);
        if (UNSIGNED_WEIGHTS) sum += rounded[v];
      }
      store_chunk(q, row, stride, i, narrow(rounded));
    });
    if (UNSIGNED_WEIGHTS) sums[row] = __builtin_reduce_add(sum);
  }
}

}  // namespace
