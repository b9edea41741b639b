// The two operators as arithmetic on rows of tokens, independent of onnxruntime.
#pragma once

#include "isa/isa.h"

namespace mbert {

constexpr int MAX_NETWORKS = 16;

// The most rows of a block. Each panel of weights is read once for all rows of a block, whose activations stay in the
// L2 cache. Float weights are four times as large and come from farther away, so larger blocks pay.
constexpr int BLOCK_ROWS_INT8 = 64, BLOCK_ROWS_FLOAT = 128;

// Scratch for quantized rows: the activations, and the step of each row, and what its accumulators start with.
struct Quantized {
  void* activations;
  float* steps;
  int32_t* starts;
};

struct StackedFFN {
  int networks = 0, intra = 0, intermediate = 0, hidden = 0;
  bool int8 = false;
  Weight weight1[MAX_NETWORKS], weight2[MAX_NETWORKS], weight_out;

  // Bytes of scratch for a block of rows.
  size_t scratch(int rows) const;
  // y[rows, hidden] = residual + (the stacked networks of x[rows, intra])·weight_out.
  void run(const Isa& isa, const float* x, const float* residual, float* y, int rows, char* scratch) const;
};

// What is added to the scores [batch, heads, seq, seq]: numbers, and the elements from one index to the next of each
// axis, 0 where all indices have the same number.
struct Mask {
  const float* data = nullptr;
  int64_t strides[4] = {};

  // The first number of a row of scores.
  const float* row(int sequence, int head, int query) const {
    return data + sequence * strides[0] + head * strides[1] + query * strides[2];
  }
};

// Keys and values of every sequence and head as packed int8 weights, with one quantization step per token.
struct PackedHeads {
  size_t key_bytes = 0, value_bytes = 0;  // of one head
  int padded = 0;                         // tokens of one head: steps, and rows of the values
  int8_t *keys = nullptr, *values = nullptr;
  float *key_steps = nullptr, *value_steps = nullptr;
};

struct BottleneckAttention {
  int intra = 0, hidden = 0, heads = 0;
  bool int8 = false;
  Weight weight_in, weight_qk, weight_out;

  int head_size() const { return intra / heads; }
  // The length of a sequence rounded up to whole vectors, in int8 to whole panels.
  int padded_length(const Isa& isa, int length) const { return round_up(length, int8 ? isa.panel_int8 : isa.lanes); }

  // The projections, which the first phase writes and the second reads, of all tokens of all sequences.
  struct Projected {
    float* parts;      // [token][inner stream | input of queries and keys | value]
    float* query_key;  // [token][query | key]
    int length;        // tokens of a sequence
    float* keys;       // float32, transposed: [sequence][channel][token, padded]
    PackedHeads packed;  // int8
  };
  size_t projected_bytes(const Isa& isa, int batch, int length) const;
  Projected projected(const Isa& isa, char* memory, int batch, int length) const;

  size_t project_scratch(int rows) const;
  // The first phase of tokens [first, first + rows), counted over all sequences. `x` begins at the first of them.
  void project(const Isa& isa, const float* x, const Projected& to, int first, int rows, char* scratch) const;

  void transpose_keys(const Isa& isa, const float* from, const Projected& to, int sequence, int position,
                      int count) const;

  size_t attend_scratch(const Isa& isa, int length, int rows) const;
  // The second phase: y = inner stream + attention·weight_out for tokens [first, first + rows) of one sequence.
  void attend(const Isa& isa, const Projected& from, const Mask& mask, int sequence, float* y, int first, int rows,
              char* scratch) const;
};

}  // namespace mbert
