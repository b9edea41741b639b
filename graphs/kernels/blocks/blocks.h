// The two operators of a layer as arithmetic on rows of tokens, independent of onnxruntime.
#pragma once

#include "blocks/sequences.h"
#include "isa/isa.h"

namespace mbert {

constexpr int MAX_NETWORKS = 16;

// The most rows of a block. Each panel of weights is read once for all rows of a block, whose activations stay in the
// L2 cache. Float weights are four times as large and come from farther away, so larger blocks pay.
constexpr int most_rows(Precision precision) { return precision == Precision::INT8 ? 64 : 128; }

// The rows of a chunk: an equal share for each thread, or the fewest equal parts of a share that exceeds `most`.
inline int rows_per_chunk(int64_t rows, int threads, int most) {
  const int64_t at_once = int64_t{threads} * most, chunks = (rows + at_once - 1) / at_once * threads;
  return static_cast<int>((rows + chunks - 1) / chunks);
}

// The fewest rows for which another thread pays. Each thread reads all weights, so with fewer rows they take longer to read
// than to multiply. Chosen on an AMD EPYC 9005 with two cores: float32 with 8 rows took 2.26 ms with two threads, and
// 2.01 ms with one; with 16 rows, 2.6 ms with two, and 3.3 ms with one.
constexpr int fewest_rows(Precision precision) {
  return precision == Precision::INT8 ? 4 : precision == Precision::HALF ? 6 : 12;
}

// Scratch for quantized rows: the activations, and the step of each row, and what its accumulators start with.
struct Quantized {
  void* activations;
  float* steps;
  int32_t* starts;
};

struct StackedFFN {
  int networks = 0, intra = 0, intermediate = 0, hidden = 0;
  Precision precision = Precision::FLOAT;
  Weight weight1[MAX_NETWORKS], weight2[MAX_NETWORKS], weight_out;

  // Bytes of scratch for a block of rows.
  size_t scratch(int rows) const;
  // y[rows, hidden] = residual + (the stacked networks of x[rows, intra])·weight_out.
  void run(const Isa& isa, const float* x, const float* residual, float* y, int rows, char* scratch) const;
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
  Precision precision = Precision::FLOAT;
  Weight weight_in, weight_qk, weight_out;

  int head_size() const { return intra / heads; }
  bool is_int8() const { return precision == Precision::INT8; }
  // A length rounded up to whole vectors, in int8 to whole panels.
  int padded_length(const Isa& isa, int length) const {
    return round_up(length, is_int8() ? isa.panel_int8 : isa.lanes);
  }

  // The projections, which the first phase writes and the second reads, of all rows of all sequences.
  struct Projected {
    float* parts;      // [row][inner stream | input of queries and keys | value]
    float* query_key;  // [row][query | key]
    Sequences sequences;
    float* keys;         // float32, transposed: [sequence][channel][position, padded]
    PackedHeads packed;  // int8
  };
  uint64_t projected_bytes(const Isa& isa, const Sequences& sequences) const;
  Projected projected(const Isa& isa, char* memory, const Sequences& sequences) const;

  size_t project_scratch(int rows) const;
  // The first phase of rows [first, first + rows). `x` begins at the first of them.
  void project(const Isa& isa, const float* x, const Projected& to, int first, int rows, char* scratch) const;

  size_t attend_scratch(const Isa& isa, const Sequences& sequences, int rows) const;
  // The second phase: y = inner stream + attention·weight_out of rows [first, first + rows). `y` begins at the first.
  void attend(const Isa& isa, const Projected& from, const Mask& mask, float* y, int first, int rows,
              char* scratch) const;

 private:
  void pack(const Isa& isa, const Projected& to, int first, int rows) const;
  size_t heads_scratch(const Isa& isa, const Sequences& sequences) const;
  void attend_heads(const Isa& isa, const Projected& from, const Mask& mask, int first, int rows, float* context,
                    char* scratch) const;
};

}  // namespace mbert
