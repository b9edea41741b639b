// The inputs `mask` and `heads` of operators with attention: the sequences of a batch, and the mask of their scores.
#pragma once

#include "blocks/sequences.h"
#include "isa/isa.h"
#include "ort/ort.h"

namespace mbert {

// The longest sequence of a block. In 8 bits, the sum of as many products of bytes fits 32 bits.
constexpr int longest_sequence(Precision precision) { return 1 << (precision == Precision::INT8 ? 16 : 20); }

// The scores [batch, heads, length, length] of a run.
struct Scores {
  int64_t batch, heads, length;
  Mask mask;
  Tensor mask_tensor;  // as it is given

  // Describes the sequences, all but where they begin. With `skip_padding`, rows of padding at the end of a sequence are
  // left out, if all heads and queries have the same mask.
  Sequences sequences(bool skip_padding) const;
  // Writes where the sequences begin, [batch + 1].
  void write_starts(bool skip_padding, int* starts) const;

 private:
  int rows(int sequence, bool skip_padding) const;
};

// Reads and checks `mask` (input 1) and `heads` (input 2) of the operator `name`, for x [tokens, …] and `intra`
// channels. The data of a float16 mask is left to the caller, which converts it.
Status read_scores(const Ort& ort, OrtKernelContext* context, const char* name, int64_t tokens, int intra,
                   int max_length, int mask_type, Scores* scores);

}  // namespace mbert
