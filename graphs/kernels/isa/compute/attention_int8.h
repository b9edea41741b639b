// Attention of one head in 8 bits: keys and values as packed weights, and softmax whose result is quantized.
#pragma once

#include "isa/compute/attention.h"
#include "isa/compute/pack.h"
#include "isa/compute/quantize.h"

namespace {

// Channels of a head that are packed at once: whole groups and whole vectors, within one panel.
constexpr int CHANNELS = 16;
static_assert(INT8_PANEL % CHANNELS == 0 && CHANNELS % GROUP == 0 && CHANNELS % LANES == 0);
// A row of probabilities has a whole number of panels, and the product with the values reads a multiple of DEPTH of it.
static_assert(INT8_PANEL % DEPTH == 0);

// The quantization of one row: its step, and what numbers are multiplied by before they are rounded.
struct RowScale {
  float step, factor;
};

// The scale of a row whose largest magnitude has these bits; see `quantize` for rows that are not finite.
inline RowScale row_scale(int32_t largest) {
  const float peak = float_from_bits(largest);
  if (largest >= INFINITY_BITS) return {float_from_bits(0x7fc00000), 0.0f};
  if (peak < SMALLEST_PEAK) return {0.0f, 0.0f};
  return {peak / QUANTIZED_MAX, QUANTIZED_MAX / peak};
}

// Calls function(c, x + c) for every CHANNELS channels of a row; the last ones are padded with zeros.
template <class Function>
inline void for_channels(const float* x, int size, Function function) {
  int c = 0;
  for (; c + CHANNELS <= size; c += CHANNELS) function(c, x + c);
  if (c == size) return;
  float last[CHANNELS] = {};
  for (int j = 0; c + j < size; j++) last[j] = x[c + j];
  function(c, last);
}

inline RowScale scale_of_row(const float* x, int size) {
  Ints largest{};
  for_channels(x, size, [&](int, const float* part) {
    for (int j = 0; j < CHANNELS; j += LANES)
      largest = maximum(largest, reinterpret_cast<Ints>(load(part + j)) & 0x7fffffff);
  });
  return row_scale(__builtin_reduce_max(largest));
}

inline void quantize_channels(const float* x, RowScale scale, int8_t* q) {
  typedef int8_t Narrow __attribute__((vector_size(LANES)));
  for (int j = 0; j < CHANNELS; j += LANES) {
    // A row of step 0 or NaN may hold an infinity, whose product with 0 is NaN.
    const Floats scaled = scale.factor == 0.0f ? Floats{} : load(x + j) * scale.factor;
    const Narrow rounded = __builtin_convertvector(round_to_nearest(scaled) + SHIFT, Narrow);
    __builtin_memcpy(q + j, &rounded, sizeof(rounded));
  }
}

// Packs the keys of `count` tokens from `first` on as the columns of a weight [size, tokens], with one step per token.
void pack_keys(const float* keys, int stride, int count, int size, int first, int8_t* panels, float* steps) {
  const int k = round_up(size, DEPTH);
  for (int token = first; token < first + count; token++, keys += stride) {
    const RowScale scale = scale_of_row(keys, size);
    steps[token] = scale.step;
    int8_t* to = panels + static_cast<size_t>(token / INT8_PANEL) * INT8_PANEL * k;
    const auto store_groups = [&](int c, const int8_t* q) {
      for (int g = 0; g < CHANNELS && c + g < k; g += GROUP)
        for (int i = 0; i < GROUP; i++)
          to[static_cast<size_t>(c + g) * INT8_PANEL + packed_offset(token % INT8_PANEL, i)] = q[g + i];
    };
    int8_t q[CHANNELS];
    for_channels(keys, size, [&](int c, const float* part) {
      quantize_channels(part, scale, q);
      store_groups(c, q);
    });
    if (k <= round_up(size, CHANNELS)) continue;
    for (int i = 0; i < CHANNELS; i++) q[i] = static_cast<int8_t>(SHIFT);
    for (int c = round_up(size, CHANNELS); c < k; c += CHANNELS) store_groups(c, q);
  }
}

// Packs the values of `count` tokens from `first` on as the rows of a weight [capacity, size], with one step per token.
void pack_values(const float* values, int stride, int count, int size, int first, int capacity, int8_t* panels,
                 float* steps) {
  for (int token = first; token < first + count;) {
    const int position = token % GROUP, left = first + count - token;
    const int at_once = position == 0 && left >= GROUP ? GROUP : 1;
    RowScale scales[GROUP];
    for (int i = 0; i < at_once; i++) {
      scales[i] = scale_of_row(values + static_cast<size_t>(i) * stride, size);
      steps[token + i] = scales[i].step;
    }
    int8_t q[GROUP][CHANNELS];
    for (int c = 0; c < size; c += CHANNELS) {
      for (int i = 0; i < at_once; i++)
        if (c + CHANNELS <= size) {
          quantize_channels(values + static_cast<size_t>(i) * stride + c, scales[i], q[i]);
        } else {
          float last[CHANNELS] = {};
          for (int j = 0; c + j < size; j++) last[j] = values[static_cast<size_t>(i) * stride + c + j];
          quantize_channels(last, scales[i], q[i]);
        }
      int8_t* to = panels + static_cast<size_t>(c / INT8_PANEL) * INT8_PANEL * capacity +
                   static_cast<size_t>(token - position) * INT8_PANEL;
      const int column = c % INT8_PANEL;
      if (at_once == GROUP)
        for (int j = 0; j < CHANNELS; j++)
          for (int i = 0; i < GROUP; i++) to[packed_offset(column + j, i)] = q[i][j];
      else
        for (int j = 0; j < CHANNELS; j++) to[packed_offset(column + j, position)] = q[0][j];
    }
    token += at_once;
    values += static_cast<size_t>(at_once) * stride;
  }
}

// 2^x for x ≤ 0; 2^-100 below -100. With x = n + r it is 2^n · p(r), where p's coefficients minimize the largest
// relative error for |r| ≤ 1/2 (8e-5, far below a step of 8 bits; a weighted least squares fit).
inline Floats exp2_of(Floats x) {
  x = maximum(x, splat(-100.0f));
  const Ints exponent = round_to_nearest(x);
  const Floats r = x - __builtin_convertvector(exponent, Floats);
  Floats p = fma(splat(0.05517166f), r, splat(0.24261114f));
  p = fma(p, r, splat(0.69326097f));
  p = fma(p, r, splat(0.99992806f));
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + (exponent << 23));
}

// Softmax, to base 2, of rows of scores, each probability times the step of its value, quantized with one step per row.
// `padded` is a multiple of LANES. Each part of it is computed for all rows, because the horizontal operations of one
// row would wait for each other.
void quantized_softmax(float* scores, int stride, int rows, int padded, const float* value_steps, void* quantized,
                       int quantized_stride, float* steps, int32_t* sums) {
  Floats peaks[QUERY_ROWS];
  for (int row = 0; row < rows; row++) {
    const float* x = scores + static_cast<size_t>(row) * stride;
    Floats peak = load(x);
    for (int k = LANES; k < padded; k += LANES) peak = maximum(load(x + k), peak);
    peaks[row] = splat(max_of_lanes(peak));
  }
  float factors[QUERY_ROWS];
  for (int row = 0; row < rows; row++) {
    float* x = scores + static_cast<size_t>(row) * stride;
    Floats total{};
    Ints largest{};
    for (int k = 0; k < padded; k += LANES) {
      const Floats e = exp2_of(load(x + k) - peaks[row]);
      total += e;
      const Floats weighted = e * load(value_steps + k);
      largest = maximum(largest, reinterpret_cast<Ints>(weighted));  // no number is negative
      store(x + k, weighted);
    }
    const RowScale scale = row_scale(__builtin_reduce_max(largest));
    steps[row] = scale.step / sum_of_lanes(total);
    // A row whose sum is NaN has a NaN that was not the largest number: its sign may be set.
    factors[row] = __builtin_isnan(steps[row]) ? 0.0f : scale.factor;
  }
  for (int row = 0; row < rows; row++) {
    // A row that is not finite has the factor 0: its numbers must not reach the conversion.
    const Ints kept = splat(factors[row] == 0.0f ? 0 : -1);
    Ints sum{};
    for_each_chunk(scores + static_cast<size_t>(row) * stride, padded, [&](int i, const float* chunk) {
      Ints rounded[4];
      for (int v = 0; v < 4; v++) {
        rounded[v] = round_to_nearest(load(chunk + v * LANES) * factors[row]) & kept;
        if (UNSIGNED_WEIGHTS) sum += rounded[v];
      }
      store_chunk(static_cast<int8_t*>(quantized), row, quantized_stride, i, narrow(rounded));
    });
    sums[row] = UNSIGNED_WEIGHTS ? __builtin_reduce_add(sum) : 0;
  }
}

}  // namespace
