// The two operators, as arithmetic on rows of tokens: nothing of onnxruntime is in here.
#pragma once

#include "isa.h"

namespace mbert {

constexpr int MOST_NETWORKS = 16;

// The most rows that are worked on at once. Each panel of weights serves all of them, and their numbers stay in the
// second cache. Float weights are four times as large and come from farther away, so that more rows pay.
constexpr int BLOCK_ROWS_INT8 = 48, BLOCK_ROWS_FLOAT = 128;

// The numbers that a product quantizes to, and its steps.
struct Quantized {
  int8_t* numbers;
  float* steps;
  int32_t* sums;
};

struct StackedFFN {
  int networks = 0, intra = 0, intermediate = 0, hidden = 0;
  bool int8 = false;
  Weight weight1[MOST_NETWORKS], weight2[MOST_NETWORKS], weight_out;

  // Bytes of scratch that a block of rows takes.
  size_t scratch(int rows) const;
  // y[rows, hidden] = residual + (networks of x[rows, intra])·weight_out.
  void run(const Isa& isa, const float* x, const float* residual, float* y, int rows, char* scratch) const;
};

struct BottleneckAttention {
  int intra = 0, hidden = 0, heads = 0;
  bool int8 = false;
  Weight weight_in, weight_qk, weight_out;

  int head_size() const { return intra / heads; }
  // A head's channels and a sequence's tokens in whole vectors.
  int padded_size(const Isa& isa) const { return rounded_up(head_size(), isa.lanes); }
  static int padded_length(const Isa& isa, int length) { return rounded_up(length, isa.lanes); }

  // Queries, keys and values of all tokens, between the two phases. Keys are [batch][head][channel][token], values
  // [batch][head][token][channel].
  struct Projected {
    float *queries, *keys, *values;
    int length;  // of a sequence
  };
  size_t projected_floats(const Isa& isa, int batch, int length) const;
  Projected projected(const Isa& isa, float* memory, int batch, int length) const;

  size_t project_scratch(int rows) const;
  // The inner stream, to y, and queries, keys and values of tokens [first, first + rows), counted over all sequences.
  void project(const Isa& isa, const float* x, float* y, const Projected& to, int first, int rows, char* scratch) const;

  size_t attend_scratch(const Isa& isa, int length, int rows) const;
  // y += attention·weight_out, for tokens [first, first + rows) of one sequence, whose mask is [length].
  void attend(const Isa& isa, const Projected& from, const float* mask, int sequence, float* y, int first, int rows,
              char* scratch) const;
};

}  // namespace mbert
