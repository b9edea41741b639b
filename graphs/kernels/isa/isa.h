// The kernels of one instruction set: a table of functions on blocks of rows. One source file, compiled for the
// instruction set, fills it. Also the data structures that these functions take.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mbert {

constexpr size_t CACHE_LINE = 64;

// The most rows of one attention tile; the scratch for scores has room for as many.
constexpr int ATTENTION_ROWS = 8;

// The most rows of queries that are attended to at once in 8 bits: their scores stay in the L1 cache.
constexpr int QUERY_ROWS = 24;

// The most tokens of a sequence for whose int8 attention `Isa::short_attention` is used.
constexpr int SHORT_SEQUENCE = 64;

// Int8 products may read rows in groups of this many, so buffers of quantized rows are padded to a multiple of it.
constexpr int ROWS_AT_ONCE = 32;

// A packed weight [k, n]: panels of `Isa::panel_int8` or `panel_float` columns. An int8 panel is [k/4][columns][4] (or 8
// for 4), with k padded to a multiple of `Isa::depth`; a panel of float32 or float16 is [k][columns]. Padding is 0.
struct Weight {
  int k = 0, n = 0;
  void* panels = nullptr;
  float* scales = nullptr;  // int8: the scale of each column; padded to whole panels
  float* bias = nullptr;    // [n], padded to whole panels; or null
  const int32_t* starts = nullptr;  // int8: what the accumulators of each column start with, [n], padded; or null
};

// Rows of activations as a product reads them.
struct Rows {
  const void* data = nullptr;  // floats, or the output of `quantize`
  int stride = 0;              // elements from one row to the next
  const float* steps = nullptr;  // int8: the quantization step of each row
  const int32_t* starts = nullptr;  // int8: what the accumulators of each row start with (0, or see UNSIGNED_WEIGHTS)
};

// The output of a product: data = relu?(rows·weight + bias) + residual?
struct Output {
  float* data = nullptr;
  int stride = 0;
  bool relu = false;
  const float* residual = nullptr;
  int residual_stride = 0;
};

// Keys and values of one sequence and one head. Keys are transposed, [size][padded]; values are [length][size] with a
// row stride, and must be readable up to a whole vector.
struct Head {
  const float* keys = nullptr;
  const float* values = nullptr;
  int value_stride = 0;
  int length = 0;   // tokens that are attended to; the tokens after them are padding
  int padded = 0;   // `length` rounded up to whole vectors: the stride of keys
  int size = 0;     // channels of the head
  const float* mask = nullptr;  // [padded]
};

// The type of weights. Activations are float32, or quantized to int8 where weights are int8.
enum class Precision { FLOAT, INT8, HALF };

struct Isa {
  const char* name;
  bool (*is_supported)();
  // The instruction set for int8 attention of sequences of at most SHORT_SEQUENCE tokens, which every processor with
  // this one has; null: this one.
  const Isa* short_attention;
  int panel_int8, panel_float;  // columns of a panel of packed weights
  int lanes;  // floats of a vector
  int depth;  // the multiple to which k is padded in int8
  int weight_shift;  // what packed int8 weights are too large by: 0, or 128

  int panel(Precision precision) const { return precision == Precision::INT8 ? panel_int8 : panel_float; }
  // Bytes of a packed weight [k, n].
  size_t packed_bytes(Precision precision, int k, int n) const;

  void (*pack_int8)(const int8_t* weight, int k, int n, void* panels);
  void (*pack_float)(const float* weight, int k, int n, void* panels);
  // float16 numbers are uint16_t with their bits. Panels of float16 have `panel_float` columns, too.
  void (*pack_half)(const uint16_t* weight, int k, int n, void* panels);
  // Quantizes rows of k floats, with one step per row, into rows of `stride` bytes, padded with 0.
  void (*quantize)(const float* x, int x_stride, int rows, int k, void* q, int stride, float* steps, int32_t* starts);
  void (*multiply_int8)(const Rows& rows, int count, const Weight& weight, const Output& output);
  void (*multiply_float)(const Rows& rows, int count, const Weight& weight, const Output& output);
  // Rows, bias and output are float32; the weight is float16.
  void (*multiply_half)(const Rows& rows, int count, const Weight& weight, const Output& output);
  // Conversions of `count` numbers: exact; and rounded to the nearest, ties to even, or to infinity.
  void (*halves_to_floats)(const uint16_t* from, size_t count, float* to);
  void (*floats_to_halves)(const float* from, size_t count, uint16_t* to);
  // softmax(query·keys + mask)·values for `count` rows; `scores` holds count · padded floats.
  void (*attend)(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                 int out_stride);
  // Attention of a head in 8 bits: keys and values become packed weights, [size, tokens] and [tokens, size], of which
  // the tokens from `first` on are written. `steps` has one number per token. `padded`: the rows of the values' weight,
  // whole panels.
  void (*pack_keys)(const float* keys, int stride, int count, int size, int first, int8_t* panels, float* steps);
  void (*pack_values)(const float* values, int stride, int count, int size, int first, int padded, int8_t* panels,
                      float* steps);
  // Softmax to base 2 of rows of `padded` scores, times the tokens' value steps, quantized with one step per row to 0 to
  // 254, and stored less 127.
  void (*quantized_softmax)(float* scores, int stride, int rows, int padded, const float* value_steps, void* q,
                            int q_stride, float* steps, int32_t* starts);
  // to[j][i] = from[i][j]
  void (*transpose)(const float* from, int from_stride, int rows, int columns, float* to, int to_stride);
#ifdef MBERT_PROFILE
  // Peak rates: run a tile of products `times` times with accumulators and weights in registers. Return the
  // multiply-accumulates of one such tile.
  int64_t (*peak_int8)(int64_t times);
  int64_t (*peak_float)(int64_t times);
#endif
};

// Rounds a size up to a whole cache line. Sizes for all rows have 64 bits where addresses have 32, too: those for inputs that
// are too large would wrap around.
inline uint64_t round_up_to_cache_line(uint64_t bytes) { return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE; }

// Rounds up to a multiple. The number must not be negative.
inline int round_up(int number, int multiple) {
  const unsigned step = static_cast<unsigned>(multiple);
  return static_cast<int>((static_cast<unsigned>(number) + step - 1) / step * step);
}

inline size_t Isa::packed_bytes(Precision precision, int k, int n) const {
  const size_t columns = round_up(n, panel(precision));
  if (precision == Precision::INT8) return columns * round_up(k, depth);
  return columns * k * (precision == Precision::HALF ? sizeof(uint16_t) : sizeof(float));
}

}  // namespace mbert
