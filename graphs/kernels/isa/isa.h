// What an instruction set offers: the arithmetic of the kernels, on blocks of rows. One table for each, filled by one
// file that is compiled for it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mbert {

constexpr size_t CACHE_LINE = 64;

// The most rows that attention takes at once, whose scores have a place.
constexpr int ATTENTION_ROWS = 8;

// Rows of whole numbers are read so many at once, so that this many have a place, though some have no meaning.
constexpr int ROWS_AT_ONCE = 32;

// A weight [k, n], as a product reads it: panels of so many columns as the instruction set takes at once. In 8 bits a
// panel is [k/4][columns][4] (or with 8 for 4), with k a multiple of its `depth`; in float [k][columns]. What is beyond k or n is 0.
struct Weight {
  int k = 0, n = 0;
  void* panels = nullptr;
  float* scales = nullptr;  // a step for each column, in 8 bits; padded to whole panels
  float* bias = nullptr;    // or null; likewise
};

// Rows of activations, in the form that a product reads.
struct Rows {
  const void* data = nullptr;  // float; or what `quantize` writes
  int stride = 0;              // numbers from one row to the next
  const float* steps = nullptr;     // of each row, in 8 bits
  const int32_t* sums = nullptr;    // likewise, of its numbers
};

// Where a product goes: out = relu?(rows·weight + bias) + residual?
struct Output {
  float* data = nullptr;
  int stride = 0;
  bool relu = false;
  const float* residual = nullptr;
  int residual_stride = 0;
};

// One sequence's keys and values, for one head: keys transposed, [size][padded]; values [length][size], with other numbers
// between their rows, and readable up to a whole vector.
struct Head {
  const float* keys = nullptr;
  const float* values = nullptr;
  int value_stride = 0;
  int length = 0;   // tokens that any row attends to: those behind are padding
  int padded = 0;   // `length`'s allocated size, in whole vectors
  int size = 0;     // channels
  const float* mask = nullptr;  // [padded]
};

struct Isa {
  const char* name;
  bool (*is_there)();
  int panel;  // columns of a panel
  int lanes;  // floats of a vector
  int depth;  // products of bytes that are added at once, in a row and column

  void (*pack_int8)(const int8_t* weight, int k, int n, void* panels);
  void (*pack_float)(const float* weight, int k, int n, void* panels);
  // Quantizes rows of k numbers, each with a step of its own, into rows of `stride` numbers, of one byte or two; the rest
  // is 0.
  void (*quantize)(const float* x, int x_stride, int rows, int k, void* q, int stride, float* steps, int32_t* sums);
  void (*multiply_int8)(const Rows& rows, int count, const Weight& weight, const Output& output);
  void (*multiply_float)(const Rows& rows, int count, const Weight& weight, const Output& output);
  // softmax(query·keys + mask)·values for `count` rows; `scores` holds count · padded floats.
  void (*attend)(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                 int out_stride);
  // to[j][i] = from[i][j]
  void (*transpose)(const float* from, int from_stride, int rows, int columns, float* to, int to_stride);
#ifdef MBERT_PROFILE
  // What the instruction can do: a tile of products, so many times, whose sums and weights stay in registers. Each gives
  // the multiply-accumulates of one such tile.
  int64_t (*peak_int8)(int64_t times);
  int64_t (*peak_float)(int64_t times);
#endif
};

// So many bytes, and what is left of their last cache line.
inline size_t in_lines(size_t bytes) { return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE; }

// Of numbers that are not negative.
inline int rounded_up(int number, int multiple) {
  const unsigned step = static_cast<unsigned>(multiple);
  return static_cast<int>((static_cast<unsigned>(number) + step - 1) / step * step);
}

}  // namespace mbert
