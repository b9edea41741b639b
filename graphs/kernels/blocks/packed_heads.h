// Attention of one head in 8 bits: two int8 products whose weights are the keys and the values of the sequence.
#pragma once

#include "blocks/blocks.h"

namespace mbert {

// Bytes of the keys and values of `heads` heads, counted over all sequences, and where each begins.
uint64_t packed_heads_bytes(const Isa& isa, uint64_t heads, int size, int length);
PackedHeads packed_heads(const Isa& isa, char* memory, size_t heads, int size, int length);

// Keys and values of `count` tokens of one head, which begin at token `first` of their sequence.
struct HeadPart {
  const float* keys;
  int key_stride;
  const float* values;
  int value_stride;
  int first, count;
};
// Quantizes and packs a part of a head of a sequence of `length` tokens. The last part also pads it.
void pack_head(const Isa& isa, const PackedHeads& to, size_t head, int size, int length, const HeadPart& part);

// Queries of one head, what they attend to, and where their weighted sums of values go.
struct Queries {
  const float* data;
  int stride, rows;
  size_t head;        // counted over all sequences
  int size, length;   // channels; tokens that are attended to
  const float* mask;  // [length, padded]
  float* context;
  int context_stride;
};

// Softmax in 8 bits is to base 2: scores and mask are multiplied by this.
constexpr float LOG2_E = 1.44269504f;

// Bytes of scratch for `attend_packed`.
size_t packed_scratch(int padded, int size);
// context = softmax(queries·keys + mask)·values, with the mask times LOG2_E
void attend_packed(const Isa& isa, const PackedHeads& from, const Queries& queries, char* scratch);

}  // namespace mbert
