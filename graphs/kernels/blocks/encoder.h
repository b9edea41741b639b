// A run of layers: its work is split into phases, and each phase into chunks that threads compute in any order.
#pragma once

#include "blocks/blocks.h"

namespace mbert {

// One layer of MobileBERT. `factors` [hidden], or null: what the input of the attention is multiplied by.
struct Layer {
  BottleneckAttention attention;
  StackedFFN ffn;
  float* factors = nullptr;
};

// Consecutive layers of equal widths.
struct Encoder {
  int layers = 0;
  Layer* layer = nullptr;

  const BottleneckAttention& attention() const { return layer->attention; }
  const StackedFFN& ffn() const { return layer->ffn; }
};

// One run of an encoder. Each layer has two phases, projections and all else, because attention reads keys and values of
// all rows. Their chunks are rows.
class EncoderRun {
 public:
  // Splits the rows of `sequences`, whose starts may not be known yet, for a number of threads.
  EncoderRun(const Isa& isa, const Encoder& encoder, const Sequences& sequences, const Mask& mask, int heads,
             int threads);

  int phases() const { return 2 * encoder_.layers; }
  int chunks() const { return chunks_; }
  uint64_t scratch() const { return projected_bytes_ + static_cast<uint64_t>(chunks_) * chunk_bytes_; }
  // Sets what the run reads and writes: `x` and `y` are [rows, hidden], and may be the same.
  void use(const int* starts, const float* x, float* y, char* scratch);
  void compute(int phase, int chunk) const;

 private:
  void project(const Layer& layer, const float* x, int first, int rows, char* scratch) const;
  void finish(const Layer& layer, const float* x, int first, int rows, char* scratch) const;
  BottleneckAttention attention(const Layer& layer) const;

  const Isa& isa_;
  const Encoder& encoder_;
  Sequences sequences_;
  const Mask mask_;
  const int heads_;
  const float* x_ = nullptr;
  float* y_ = nullptr;
  int chunks_, rows_per_chunk_;
  uint64_t projected_bytes_;
  size_t chunk_bytes_;
  char *projected_ = nullptr, *chunk_memory_ = nullptr;
};

}  // namespace mbert
