// Attention of one head in 8 bits: keys and values as packed weights, and softmax whose result is quantized.
#pragma once

#include "isa/compute/attention.h"
#include "isa/compute/pack.h"
#include "isa/compute/quantize.h"

namespace {

// Channels of a head that are packed at once: whole groups and whole vectors, within one panel.
constexpr int CHANNELS = INT8_PANEL < 16 ? INT8_PANEL : 16;
static_assert(INT8_PANEL % CHANNELS == 0 && CHANNELS % GROUP == 0 && CHANNELS % LANES == 0);
// A row of probabilities has a whole number of panels, and the product with the values reads a multiple of DEPTH of it.
static_assert(INT8_PANEL % DEPTH == 0);

// Tokens whose steps are computed at once.
constexpr int TOKENS = 64;
static_assert(TOKENS % LANES == 0 && TOKENS % GROUP == 0);

// The steps and factors of at most TOKENS rows; see `scale_rows`.
inline void scale_tokens(const float* x, int stride, int count, int size, float* steps, float* factors) {
  for (int first = 0; first < count; first += LANES)
    scale_rows(x + static_cast<size_t>(first) * stride, stride, count - first < LANES ? count - first : LANES, size,
               steps + first, factors + first);
}

// Quantizes CHANNELS channels, of which the row has `count`; the others become 0.
SHARED_CODE void quantize_channels(const float* x, int count, float factor, int8_t* q) {
  typedef int8_t Narrow __attribute__((vector_size(LANES)));
  float last[CHANNELS] = {};
  if (count < CHANNELS) {
    for (int j = 0; j < count; j++) last[j] = x[j];
    x = last;
  }
  const Ints kept = splat(factor == 0.0f ? 0 : -1);
  UNROLLED for (int j = 0; j < CHANNELS; j += LANES) {
    const Ints rounded = round_to_nearest(load(x + j) * factor) & kept;
    const Narrow narrowed = __builtin_convertvector(rounded + SHIFT, Narrow);
    __builtin_memcpy(q + j, &narrowed, sizeof(narrowed));
  }
}

// Whether four bytes of one column follow each other in a panel, so that whole vectors of packed weights are stored.
#if GROUP == 4 && !defined(PAIRED_WEIGHTS)
#define WHOLE_GROUPS true
#else
#define WHOLE_GROUPS false
#endif

inline Bytes shifts() { return Bytes{} + static_cast<int8_t>(SHIFT); }

// Stores the first `count` lanes of four bytes.
inline void store_lanes(int8_t* to, Bytes lanes, int count) {
  if (count == LANES) {
    *reinterpret_cast<UnalignedBytes*>(to) = lanes;
    return;
  }
#if LANES == 16
  _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1 << count) - 1), reinterpret_cast<__m512i>(lanes));
#else
  int32_t numbers[LANES];
  __builtin_memcpy(numbers, &lanes, sizeof(lanes));
  for (int i = 0; i < count; i++) __builtin_memcpy(to + 4 * i, numbers + i, 4);
#endif
}

// Packs the keys of at most LANES tokens, whose columns are in one vector: a row of them is a token's bytes in groups of
// four, and transposed a group of all tokens.
inline void pack_columns(const float* keys, int stride, int count, int size, const float* factors, int8_t* to) {
  static_assert(DEPTH <= CHUNK);
  const int k = round_up(size, DEPTH);
  for (int c = 0; c < k; c += CHUNK) {
    const int channels = size - c < CHUNK ? size - c : CHUNK;
    Floats block[LANES];
    clear_after(count, block);
    for (int i = 0; i < count; i++)
      for_each_chunk(keys + static_cast<size_t>(i) * stride + c, channels, [&](int, const Floats (&numbers)[4]) {
        const Bytes chunk = factors[i] == 0.0f ? Bytes{} : quantize_chunk(numbers, factors[i]);
        block[i] = reinterpret_cast<Floats>(chunk + shifts());
      });
    transpose(block);
    for (int g = 0; g < LANES && c + g * GROUP < k; g++)
      store_lanes(to + static_cast<size_t>(c + g * GROUP) * INT8_PANEL, reinterpret_cast<Bytes>(block[g]), count);
  }
}

// Packs the keys of at most TOKENS tokens from `first` on.
inline void pack_some_keys(const float* keys, int stride, int count, int size, int first, int8_t* panels,
                           float* steps) {
  const int k = round_up(size, DEPTH);
  float found[TOKENS], factors[TOKENS];
  scale_tokens(keys, stride, count, size, found, factors);
  for (int i = 0; i < count; i++) steps[first + i] = found[i];
  for (int i = 0; i < count;) {
    const int token = first + i, column = token % INT8_PANEL;
    int8_t* to = panels + static_cast<size_t>(token / INT8_PANEL) * INT8_PANEL * k;
    const int room = LANES - column % LANES, at_once = count - i < room ? count - i : room;
    if (INTERLEAVED_COLUMNS && column == 0 && count - i >= INT8_PANEL) {
      for (int done = 0; done < INT8_PANEL; done += LANES, keys += static_cast<size_t>(LANES) * stride)
        pack_columns(keys, stride, LANES, size, factors + i + done, to + 4 * done);
      interleave_columns(to, k / GROUP);
      i += INT8_PANEL;
      continue;
    }
    if (WHOLE_GROUPS && !INTERLEAVED_COLUMNS && at_once > LANES / 2) {
      pack_columns(keys, stride, at_once, size, factors + i, to + 4 * column);
      keys += static_cast<size_t>(at_once) * stride;
      i += at_once;
      continue;
    }
    int8_t q[CHANNELS];
    for (int c = 0; c < k; c += CHANNELS) {
      quantize_channels(keys + c, size - c, factors[i], q);
      for (int g = 0; g < CHANNELS && c + g < k; g += GROUP)
        store_group(to + static_cast<size_t>(c + g) * INT8_PANEL, column, q + g);
    }
    keys += stride;
    i++;
  }
}

// Packs a vector of channels of four tokens.
inline void pack_four_values(const float* values, int stride, const float* factors, int8_t* to) {
  Ints four{};
  UNROLLED for (int i = 0; i < 4; i++) {
    const Ints kept = splat(factors[i] == 0.0f ? 0 : 0xff);
    four |= (round_to_nearest(load(values + static_cast<size_t>(i) * stride) * factors[i]) & kept) << (8 * i);
  }
  *reinterpret_cast<UnalignedBytes*>(to) = reinterpret_cast<Bytes>(four) + shifts();
}

// Packs the keys of `count` tokens from `first` on as the columns of a weight [size, tokens], with one step per token.
void pack_keys(const float* keys, int stride, int count, int size, int first, int8_t* panels, float* steps) {
  for (int done = 0; done < count; done += TOKENS)
    pack_some_keys(keys + static_cast<size_t>(done) * stride, stride,
                   count - done < TOKENS ? count - done : TOKENS, size, first + done, panels, steps);
}

// Packs the values of at most TOKENS tokens from `first` on.
inline void pack_some_values(const float* values, int stride, int count, int size, int first, int padded,
                             int8_t* panels, float* steps) {
  float found[TOKENS], factors[TOKENS];
  scale_tokens(values, stride, count, size, found, factors);
  for (int i = 0; i < count; i++) steps[first + i] = found[i];
  for (int done = 0; done < count;) {
    const int token = first + done, position = token % GROUP;
    const int at_once = position == 0 && count - done >= GROUP ? GROUP : 1;
    int8_t q[GROUP][CHANNELS];
    for (int c = 0; c < size; c += CHANNELS) {
      const float* x = values + static_cast<size_t>(done) * stride + c;
      int8_t* to = panels + static_cast<size_t>(c / INT8_PANEL) * INT8_PANEL * padded +
                   static_cast<size_t>(token - position) * INT8_PANEL;
      const int column = c % INT8_PANEL;
      if (WHOLE_GROUPS && at_once == GROUP && size - c >= CHANNELS) {
        for (int j = 0; j < CHANNELS; j += LANES)
          pack_four_values(x + j, stride, factors + done, to + 4 * (column + j));
        if (INTERLEAVED_COLUMNS) interleave_columns(to, 1);
        continue;
      }
      for (int i = 0; i < at_once; i++)
        quantize_channels(x + static_cast<size_t>(i) * stride, size - c, factors[done + i], q[i]);
      if (at_once == GROUP && !SMALL_CODE)
        for (int j = 0; j < CHANNELS; j++)
          for (int i = 0; i < GROUP; i++) to[packed_offset(column + j, i)] = packed_byte(q[i][j], column + j);
      else
        for (int i = 0; i < at_once; i++)
          for (int j = 0; j < CHANNELS; j++)
            to[packed_offset(column + j, position + i)] = packed_byte(q[i][j], column + j);
    }
    done += at_once;
  }
}

// Packs the values of `count` tokens from `first` on as the rows of a weight [padded, size], with one step per token.
void pack_values(const float* values, int stride, int count, int size, int first, int padded, int8_t* panels,
                 float* steps) {
  for (int done = 0; done < count; done += TOKENS)
    pack_some_values(values + static_cast<size_t>(done) * stride, stride,
                     count - done < TOKENS ? count - done : TOKENS, size, first + done, padded, panels, steps);
}

// 2^x for x ≤ 0, times 18.1, which softmax divides out again; 0 below -100, so that padding has no weight, however large its
// values are. With x = n + r it is 2^n · p(r), where p's coefficients minimize the largest relative error for |r| ≤ 1/2
// (8e-5, far below a step of 8 bits; a weighted least squares fit), divided by the first one, 0.055, which saves a product.
// Products and sums are rounded separately, so that all instruction sets give the same numbers.
inline Floats scaled_exp2(Floats x) {
  const Ints kept = ~(x < constant(splat(-100.0f)));  // NaN is kept
  const Ints exponent = round_to_nearest(x);
  const Floats r = x - __builtin_convertvector(exponent, Floats);
  Floats p = r + constant(splat(4.3973870f));
  p = p * r + constant(splat(12.565526f));
  p = p * r + constant(splat(18.123943f));
  return reinterpret_cast<Floats>((reinterpret_cast<Ints>(p) + (exponent << 23)) & kept);
}

// Sums of probabilities by column, of which there are as many with all instruction sets, so that they add in the same
// order: a difference of one bit rounds a probability to the next of 254 steps, and changes a score by a percent.
constexpr int PARTIAL_SUMS = 16 / LANES;
static_assert(PARTIAL_SUMS * LANES == 16);

// As many bytes of -1 as a chunk has, then as many of 0: a chunk of it that begins `count` bytes before the zeros is a
// mask of the first `count` bytes.
struct ByteMasks {
  int8_t bytes[2 * CHUNK] = {};
  constexpr ByteMasks() {
    for (int i = 0; i < CHUNK; i++) bytes[i] = -1;
  }
};
constexpr ByteMasks BYTE_MASKS;

// Softmax, to base 2, of at most LANES rows of scores from row `first` on; see `quantized_softmax`.
inline void softmax_rows(float* scores, int stride, int rows, int padded, const float* value_steps, int8_t* quantized,
                         int first, int quantized_stride, float* steps, int32_t* starts) {
  // Each part is computed for all rows, because the horizontal operations of one row would wait for each other.
  Floats peaks[LANES], totals[LANES];
  Ints largest[LANES];
  clear_after(rows, peaks, totals);
  clear_after(rows, largest);
  for (int i = 0; i < rows; i++) {
    const float* x = scores + static_cast<size_t>(i) * stride;
    Floats highest = load(x);
    for (int k = LANES; k < padded; k += LANES) highest = maximum(load(x + k), highest);
    peaks[i] = highest;
  }
  float peak[LANES], total[LANES], found[LANES], factors[LANES];
  store(peak, reduce_rows(peaks, [](Floats a, Floats b) { return maximum(a, b); }));
  for (int i = 0; i < rows; i++) {
    float* x = scores + static_cast<size_t>(i) * stride;
    const float own_peak = peak[i];
    Floats sums[PARTIAL_SUMS] = {};
    Ints highest{};
    const auto weigh = [&](int k, Floats& sum) {
      const Floats e = scaled_exp2(load(x + k) - own_peak);
      sum += e;
      const Floats weighted = e * load(value_steps + k);
      highest = maximum(highest, reinterpret_cast<Ints>(weighted));  // no number is negative
      store(x + k, weighted);
    };
    if (SMALL_CODE)
      for (int k = 0; k < padded; k += LANES) weigh(k, sums[k / LANES % PARTIAL_SUMS]);
    else
      for (int k = 0; k < padded; k += PARTIAL_SUMS * LANES)
        UNROLLED for (int v = 0; v < PARTIAL_SUMS && k + v * LANES < padded; v++) weigh(k + v * LANES, sums[v]);
    UNROLLED for (int n = PARTIAL_SUMS / 2; n; n /= 2)
      UNROLLED for (int v = 0; v < n; v++) sums[v] += sums[v + n];
    totals[i] = sums[0];
    largest[i] = highest;
  }
  scales_of(reduce_rows(largest, [](Ints a, Ints b) { return maximum(a, b); }), found, factors);
  store(total, reduce_rows(totals, [](Floats a, Floats b) { return a + b; }));
  for (int i = 0; i < rows; i++) {
    steps[i] = 0.5f * found[i] / total[i];
    factors[i] *= 2.0f;
    // A row whose sum is NaN has a NaN that was not the largest number: its sign may be set.
    if (__builtin_isnan(steps[i])) factors[i] = 0.0f;
  }
  // From 0 to 2·QUANTIZED_MAX, and stored less QUANTIZED_MAX; after the last score there are zeros.
  round_rows(scores, stride, rows, padded, factors, quantized, first, quantized_stride, starts,
             [&](int column, const Floats (&numbers)[4], float factor) {
               const Bytes chunk = quantize_chunk(numbers, factor, static_cast<int32_t>(QUANTIZED_MAX));
               if (column + CHUNK <= padded) return chunk;
               return chunk & load_bytes(BYTE_MASKS.bytes + CHUNK - (padded - column));
             });
}

// Softmax, to base 2, of rows of scores, each probability times the step of its value, quantized with one step per row.
// `padded` is a multiple of LANES.
void quantized_softmax(float* scores, int stride, int rows, int padded, const float* value_steps, void* quantized,
                       int quantized_stride, float* steps, int32_t* starts) {
  for (int first = 0; first < rows; first += LANES)
    softmax_rows(scores + static_cast<size_t>(first) * stride, stride, rows - first < LANES ? rows - first : LANES,
                 padded, value_steps, static_cast<int8_t*>(quantized), first, quantized_stride, steps + first,
                 starts + first);
}

}  // namespace
