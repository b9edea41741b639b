#include "blocks/encoder.h"

#include "blocks/product.h"

namespace mbert {

namespace {

size_t largest(size_t a, size_t b) { return a > b ? a : b; }

}  // namespace

EncoderRun::EncoderRun(const Isa& isa, const Encoder& encoder, const Sequences& sequences, const Mask& mask, int heads,
                       int threads)
    : isa_(isa), encoder_(encoder), sequences_(sequences), mask_(mask), heads_(heads) {
  const StackedFFN& ffn = encoder.ffn();
  const int rows = sequences.rows, fewest = fewest_rows(ffn.precision), enough = (rows + fewest - 1) / fewest;
  rows_per_chunk_ = rows_per_chunk(rows, threads < enough ? threads : enough, most_rows(ffn.precision));
  chunks_ = (rows + rows_per_chunk_ - 1) / rows_per_chunk_;
  projected_bytes_ = round_up_to_cache_line(attention(*encoder.layer).projected_bytes(isa, sequences));
  const size_t project = float_bytes(rows_per_chunk_, ffn.hidden) + attention(*encoder.layer).project_scratch(rows_per_chunk_);
  const size_t finish =
      float_bytes(rows_per_chunk_, ffn.intra) +
      largest(attention(*encoder.layer).attend_scratch(isa, sequences, rows_per_chunk_), ffn.scratch(rows_per_chunk_));
  chunk_bytes_ = largest(project, finish);
}

void EncoderRun::use(const int* starts, const float* x, float* y, char* scratch) {
  sequences_.starts = starts;
  x_ = x;
  y_ = y;
  projected_ = scratch;
  chunk_memory_ = scratch + projected_bytes_;
}

// The number of heads is an input of the run.
BottleneckAttention EncoderRun::attention(const Layer& layer) const {
  BottleneckAttention result = layer.attention;
  result.heads = heads_;
  return result;
}

void EncoderRun::compute(int phase, int chunk) const {
  const Layer& layer = encoder_.layer[phase / 2];
  const int first = chunk * rows_per_chunk_, left = sequences_.rows - first;
  const int rows = left < rows_per_chunk_ ? left : rows_per_chunk_;
  const float* x = (phase / 2 ? y_ : x_) + static_cast<size_t>(first) * layer.ffn.hidden;
  char* scratch = chunk_memory_ + chunk * chunk_bytes_;
  if (phase % 2 == 0)
    project(layer, x, first, rows, scratch);
  else
    finish(layer, x, first, rows, scratch);
}

void EncoderRun::project(const Layer& layer, const float* x, int first, int rows, char* memory) const {
  Scratch scratch(memory);
  if (layer.factors) {
    const int hidden = layer.ffn.hidden;
    float* scaled = scratch.take<float>(static_cast<size_t>(rows) * hidden);
    for (int row = 0; row < rows; row++)
      for (int i = 0; i < hidden; i++)
        scaled[static_cast<size_t>(row) * hidden + i] = x[static_cast<size_t>(row) * hidden + i] * layer.factors[i];
    x = scaled;
  }
  const BottleneckAttention block = attention(layer);
  block.project(isa_, x, block.projected(isa_, projected_, sequences_), first, rows, scratch.take<char>(0));
}

void EncoderRun::finish(const Layer& layer, const float* x, int first, int rows, char* memory) const {
  Scratch scratch(memory);
  const BottleneckAttention block = attention(layer);
  float* inner = scratch.take<float>(static_cast<size_t>(rows) * block.intra);
  char* own = scratch.take<char>(0);
  block.attend(isa_, block.projected(isa_, projected_, sequences_), mask_, inner, first, rows, own);
  layer.ffn.run(isa_, inner, x, y_ + static_cast<size_t>(first) * layer.ffn.hidden, rows, own);
}

}  // namespace mbert
