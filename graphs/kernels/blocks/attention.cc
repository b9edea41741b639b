#include "blocks/packed_heads.h"
#include "blocks/product.h"

namespace mbert {

namespace {

constexpr float PADDING_MASK = -__builtin_inff();

// Finite numbers of a mask are clamped to ±this: float32's lowest number, which exporters write, would become −∞ when it
// is scaled, and a row of −∞ has no softmax.
constexpr float MOST_OF_MASK = 2e38f;

float scaled(float x, float scale) {
  if (__builtin_isnan(x)) return __builtin_nanf("");  // scaled_exp2 relies on the bits of a NaN
  if (__builtin_fabsf(x) < __builtin_inff()) x = x < -MOST_OF_MASK ? -MOST_OF_MASK : x > MOST_OF_MASK ? MOST_OF_MASK : x;
  return x * scale;
}

// Writes a row of a mask times `scale`, padded to whole vectors, and returns the number of tokens that are attended to.
int pad_mask(const float* row, int64_t stride, int tokens, int padded, float scale, float* to) {
  const int length = unpadded_length(row, stride, tokens);
  for (int i = 0; i < padded; i++) to[i] = i < length ? scaled(row[i * stride], scale) : PADDING_MASK;
  return length;
}

}  // namespace

uint64_t BottleneckAttention::projected_bytes(const Isa& isa, const Sequences& sequences) const {
  const uint64_t rows = sequences.rows, count = sequences.count;
  const uint64_t bytes = round_up_to_cache_line(rows * 5 * intra * sizeof(float));
  if (is_int8()) return bytes + packed_heads_bytes(isa, count * heads, head_size(), sequences.longest);
  // The last row of values is read up to a whole vector.
  return bytes + (count * intra * padded_length(isa, sequences.longest) + isa.lanes) * sizeof(float);
}

BottleneckAttention::Projected BottleneckAttention::projected(const Isa& isa, char* memory,
                                                              const Sequences& sequences) const {
  const size_t rows = sequences.rows;
  Projected result{};
  result.sequences = sequences;
  result.parts = reinterpret_cast<float*>(memory);
  result.query_key = result.parts + rows * 3 * intra;
  char* own = memory + round_up_to_cache_line(rows * 5 * intra * sizeof(float));
  if (is_int8())
    result.packed =
        packed_heads(isa, own, static_cast<size_t>(sequences.count) * heads, head_size(), sequences.longest);
  else
    result.keys = reinterpret_cast<float*>(own);
  return result;
}

size_t BottleneckAttention::project_scratch(int rows) const { return quantized_bytes(rows, maximum(hidden, intra)); }

void BottleneckAttention::project(const Isa& isa, const float* x, const Projected& to, int first, int rows,
                                  char* memory) const {
  Scratch scratch(memory);
  const Quantized quantized = take_quantized(scratch, rows, maximum(hidden, intra));
  float* parts = to.parts + static_cast<size_t>(first) * 3 * intra;
  float* query_key = to.query_key + static_cast<size_t>(first) * 2 * intra;
  product(isa, precision, x, hidden, rows, weight_in, quantized, {parts, 3 * intra, false, nullptr, 0});
  product(isa, precision, parts + intra, 3 * intra, rows, weight_qk, quantized, {query_key, 2 * intra, false, nullptr, 0});
  pack(isa, to, first, rows);
}

// Lays out the keys and values of rows as attention reads them.
void BottleneckAttention::pack(const Isa& isa, const Projected& to, int first, int rows) const {
  const int size = head_size();
  for_each_sequence(to.sequences, first, rows, [&](int sequence, int position, int row, int count) {
    const int length = to.sequences.length(sequence);
    const float* keys = to.query_key + static_cast<size_t>(row) * 2 * intra + intra;
    const float* values = to.parts + static_cast<size_t>(row) * 3 * intra + 2 * intra;
    if (is_int8()) {
      for (int head = 0; head < heads; head++)
        pack_head(isa, to.packed, static_cast<size_t>(sequence) * heads + head, size, length,
                  {keys + head * size, 2 * intra, values + head * size, 3 * intra, position, count});
      return;
    }
    // Keys, [row][channel], become [channel][position].
    const int padded = padded_length(isa, to.sequences.longest);
    float* transposed = to.keys + static_cast<size_t>(sequence) * intra * padded + position;
    isa.transpose(keys, 2 * intra, count, intra, transposed, padded);
    // Pads the keys after the last token to a whole vector. Any finite number will do: the mask removes them.
    if (position + count == length)
      for (int i = 0; i < intra; i++)
        for (int j = count; j < padded_length(isa, length) - position; j++)
          transposed[static_cast<size_t>(i) * padded + j] = 0.0f;
  });
}

size_t BottleneckAttention::heads_scratch(const Isa& isa, const Sequences& sequences) const {
  const int padded = padded_length(isa, sequences.longest);
  return float_bytes(1, padded) +
         (is_int8() ? packed_scratch(padded, head_size()) : float_bytes(ATTENTION_ROWS, padded));
}

// Computes the heads' outputs of rows, context [rows, intra].
void BottleneckAttention::attend_heads(const Isa& isa, const Projected& from, const Mask& mask, int first, int rows,
                                       float* context, char* memory) const {
  Scratch scratch(memory);
  const int size = head_size(), padded = padded_length(isa, from.sequences.longest);
  float* padded_mask = scratch.take<float>(padded);
  char* head_memory = scratch.take<char>(0);
  // A padding mask is the same for all heads and rows. Where rows have masks of their own, they are computed one by
  // one.
  const bool heads_differ = mask.strides[1] != 0, rows_differ = mask.strides[2] != 0;
  for_each_sequence(from.sequences, first, rows, [&](int sequence, int position, int begin, int count) {
    const int own = from.sequences.length(sequence), at_once = rows_differ ? 1 : count;
    const float* keys = is_int8() ? nullptr : from.keys + static_cast<size_t>(sequence) * intra * padded;
    const float* values = from.parts + static_cast<size_t>(from.sequences.starts[sequence]) * 3 * intra + 2 * intra;
    int length = 0;
    for (int head = 0; head < heads; head++) {
      const int channel = head * size;
      for (int row = 0; row < count; row += at_once) {
        if (heads_differ || rows_differ || head == 0)
          length = pad_mask(mask.row(sequence, head, position + row), mask.strides[3], own, padded_length(isa, own),
                            is_int8() ? LOG2_E : 1.0f, padded_mask);
        const float* query = from.query_key + static_cast<size_t>(begin + row) * 2 * intra + channel;
        float* to = context + static_cast<size_t>(begin - first + row) * intra + channel;
        if (is_int8()) {
          attend_packed(isa, from.packed,
                        {query, 2 * intra, at_once, static_cast<size_t>(sequence) * heads + head, size, length,
                         padded_mask, to, intra},
                        head_memory);
          continue;
        }
        const Head view{keys + static_cast<size_t>(channel) * padded, values + channel, 3 * intra, length, padded, size,
                        padded_mask};
        isa.attend(query, 2 * intra, at_once, view, reinterpret_cast<float*>(head_memory), to, intra);
      }
    }
  });
}

size_t BottleneckAttention::attend_scratch(const Isa& isa, const Sequences& sequences, int rows) const {
  return float_bytes(rows, intra) + quantized_bytes(rows, intra) + heads_scratch(isa, sequences);
}

void BottleneckAttention::attend(const Isa& isa, const Projected& from, const Mask& mask, float* y, int first, int rows,
                                 char* memory) const {
  Scratch scratch(memory);
  float* context = scratch.take<float>(static_cast<size_t>(rows) * intra);
  const Quantized quantized = take_quantized(scratch, rows, intra);
  attend_heads(isa, from, mask, first, rows, context, scratch.take<char>(0));
  const float* inner = from.parts + static_cast<size_t>(first) * 3 * intra;
  product(isa, precision, context, intra, rows, weight_out, quantized, {y, intra, false, inner, 3 * intra});
}

}  // namespace mbert
