// Attention of one head: scores, softmax, and the weighted sum of values, in float32.
#pragma once

#include "isa/compute/gemm.h"

namespace {

// ln 2 as a sum of two floats. The first has so few significant bits that its product with an exponent is exact.
constexpr float LN2 = 0.693115234375f, LN2_REMAINDER = 3.19461833e-05f;

// e^x for x ≤ 0; about 1e-38 below -87. With x = n·ln 2 + r it is 2^n · (1 + r + r²·p(r)), where p's coefficients
// minimize the largest relative error for |r| ≤ ln 2 / 2 (3e-9; a weighted least squares fit).
inline Floats exp_of(Floats x) {
  x = maximum(x, constant(splat(-87.0f)));
  const Ints exponent = round_to_nearest(x * constant(splat(1.44269504f)));
  const Floats n = __builtin_convertvector(exponent, Floats);
  const Floats r = fma(n, constant(splat(-LN2_REMAINDER)), fma(n, constant(splat(-LN2)), x));
  Floats p = constant(splat(0.00138145394f));
  p = fma(p, r, constant(splat(0.00836874545f)));
  p = fma(p, r, constant(splat(0.041668389f)));
  p = fma(p, r, constant(splat(0.166665211f)));
  p = fma(p, r, constant(splat(0.49999994f)));
  p = fma(p, r * r, r + 1.0f);
  return p * reinterpret_cast<Floats>((exponent + 127) << 23);
}

// The scores of ROWS queries and COUNT vectors of keys, with the mask added.
template <int ROWS, int COUNT>
inline void score(const float* query, int query_stride, const Head& head, int key, float* scores) {
  Floats sums[ROWS][COUNT] = {};
  add_products(sums, query, query_stride, head.keys + key, head.padded, head.size);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++)
      store(scores + i * head.padded + key + v * LANES, sums[i][v] + load(head.mask + key + v * LANES));
}

// Stores the first `count` lanes.
SHARED_CODE void store_first(float* to, Floats y, int count) {
  for (int lane = 0; lane < count; lane++) to[lane] = y[lane];
}

// The sum of values weighted by scores, for ROWS queries and COUNT vectors of channels; `factors` normalize the
// weights.
template <int ROWS, int COUNT>
inline void weighted_sum(const float* scores, const float (&factors)[ROWS], const Head& head, int channel, float* out,
                         int out_stride) {
  Floats sums[ROWS][COUNT] = {};
  add_products(sums, scores, head.padded, head.values + channel, head.value_stride, head.length);
  UNROLLED for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) {
      const Floats y = sums[i][v] * factors[i];
      float* to = out + static_cast<size_t>(i) * out_stride + channel + v * LANES;
      const int remaining = head.size - channel - v * LANES;
      if (COUNT > 1 || remaining >= LANES)
        store(to, y);
      else
        store_first(to, y, remaining);
    }
}

// Softmax of rows of scores, whose division is postponed: `factors` are to multiply the weighted sums. Each step is
// computed for all rows, because the horizontal operations of one row would wait for each other.
SHARED_CODE void softmax(float* scores, int stride, int rows, int padded, float* factors) {
  float peaks[SCORE_ROWS];
  for (int i = 0; i < rows; i++) {
    const float* row = scores + static_cast<size_t>(i) * stride;
    Floats peak = load(row);
    for (int k = LANES; k < padded; k += LANES) peak = maximum(load(row + k), peak);
    peaks[i] = max_of_lanes(peak);
  }
  for (int i = 0; i < rows; i++) {
    float* row = scores + static_cast<size_t>(i) * stride;
    Floats sums{};
    for (int k = 0; k < padded; k += LANES) {
      const Floats e = exp_of(load(row + k) - peaks[i]);
      sums += e;
      store(row + k, e);
    }
    factors[i] = 1.0f / sum_of_lanes(sums);
  }
}

template <int ROWS>
inline void attend_rows(const float* query, int query_stride, const Head& head, float* scores, float* out,
                        int out_stride) {
  const int padded = round_up(head.length, LANES);
  int j = 0;
  for (; j + SCORE_VECTORS * LANES <= padded; j += SCORE_VECTORS * LANES)
    score<ROWS, SCORE_VECTORS>(query, query_stride, head, j, scores);
  for (; j < padded; j += LANES) score<ROWS, 1>(query, query_stride, head, j, scores);
  float factors[ROWS];
  softmax(scores, head.padded, ROWS, padded, factors);
  int c = 0;
  for (; c + VALUE_VECTORS * LANES <= head.size; c += VALUE_VECTORS * LANES)
    weighted_sum<ROWS, VALUE_VECTORS>(scores, factors, head, c, out, out_stride);
  for (; c < head.size; c += LANES) weighted_sum<ROWS, 1>(scores, factors, head, c, out, out_stride);
}

// Attends in tiles of ROWS rows; the remainder in tiles of half as many, and so on, or where code is to be small, one by
// one.
template <int ROWS>
inline void attend_in_tiles(const float* query, int query_stride, int count, const Head& head, float* scores,
                            float* out, int out_stride) {
  int i = 0;
  for (; i + ROWS <= count; i += ROWS)
    attend_rows<ROWS>(query + static_cast<size_t>(i) * query_stride, query_stride, head, scores,
                      out + static_cast<size_t>(i) * out_stride, out_stride);
  constexpr int FEWER = SMALL_CODE ? 1 : ROWS / 2;
  if constexpr (ROWS > 1)
    attend_in_tiles<FEWER>(query + static_cast<size_t>(i) * query_stride, query_stride, count - i, head, scores,
                              out + static_cast<size_t>(i) * out_stride, out_stride);
}

#ifndef SHARED_FLOAT
void attend(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
            int out_stride) {
  static_assert(SCORE_ROWS <= ATTENTION_ROWS);
  attend_in_tiles<SCORE_ROWS>(query, query_stride, count, head, scores, out, out_stride);
}
#endif

}  // namespace
