// The two operators, as arithmetic on rows of tokens: nothing of onnxruntime is in here.
#pragma once

#include "isa/isa.h"

namespace mbert {

constexpr int MOST_NETWORKS = 16;

// The most rows that are worked on at once. Each panel of weights serves all of them, and their numbers stay in the
// second cache. Float weights are four times as large and come from farther away, so that more rows pay.
constexpr int BLOCK_ROWS_INT8 = 64, BLOCK_ROWS_FLOAT = 128;

// The numbers that a product quantizes to, and its steps.
struct Quantized {
  void* numbers;
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
  // A sequence's tokens in whole vectors.
  static int padded_length(const Isa& isa, int length) { return rounded_up(length, isa.lanes); }

  // What the first phase leaves to the second, of all tokens of all sequences.
  struct Projected {
    float* parts;      // [token][inner stream | what queries and keys are made of | value]
    float* query_key;  // [token][query | key]
    float* keys;       // transposed: [sequence][channel][token, padded]
    int length;        // of a sequence
  };
  size_t projected_floats(const Isa& isa, int batch, int length) const;
  Projected projected(float* memory, int batch, int length) const;

  size_t project_scratch(int rows) const;
  // Fills in tokens [first, first + rows), counted over all sequences, whose x is given.
  void project(const Isa& isa, const float* x, const Projected& to, int first, int rows, char* scratch) const;

  size_t attend_scratch(const Isa& isa, int length, int rows) const;
  // y = inner stream + attention·weight_out, for tokens [first, first + rows) of one sequence, whose mask is [length].
  void attend(const Isa& isa, const Projected& from, const float* mask, int sequence, float* y, int first, int rows,
              char* scratch) const;
};

}  // namespace mbert
