#include "blocks/packed_heads.h"
#include "blocks/product.h"

namespace mbert {

namespace {

constexpr float PADDING_MASK = -__builtin_inff();

// A mask at or below this removes the token from softmax: e^-100 is already negligible in float32, and scores are far
// below 1e30. Exporters write half of float32's lowest number, the lowest number, or −∞.
constexpr float MASKED = -1e30f;

// Finite numbers of a mask are clamped to ±this: float32's lowest number, which exporters write, would become −∞ when it
// is scaled, and a row of −∞ has no softmax.
constexpr float MOST_OF_MASK = 2e38f;

float scaled(float x, float scale) {
  if (__builtin_isnan(x)) return __builtin_nanf("");  // exp2_of relies on the bits of a NaN
  if (__builtin_fabsf(x) < __builtin_inff()) x = x < -MOST_OF_MASK ? -MOST_OF_MASK : x > MOST_OF_MASK ? MOST_OF_MASK : x;
  return x * scale;
}

// Writes a row of a mask times `scale`, padded to whole vectors, and returns the number of tokens that are attended to:
// without the padding at the end, whose weight in softmax is 0, unless the whole row is padding.
int pad_mask(const float* row, int64_t stride, int tokens, int padded, float scale, float* to) {
  int length = tokens;
  while (length > 0 && row[(length - 1) * stride] <= MASKED) length--;
  if (length == 0) length = tokens;
  for (int i = 0; i < padded; i++) to[i] = i < length ? scaled(row[i * stride], scale) : PADDING_MASK;
  return length;
}

}  // namespace

size_t BottleneckAttention::projected_bytes(const Isa& isa, int batch, int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  const size_t bytes = round_up_to_cache_line(tokens * 5 * intra * sizeof(float));
  if (int8) return bytes + packed_heads_bytes(isa, static_cast<size_t>(batch) * heads, head_size(), length);
  // The last row of values is read up to a whole vector.
  return bytes + (static_cast<size_t>(batch) * intra * padded_length(isa, length) + isa.lanes) * sizeof(float);
}

BottleneckAttention::Projected BottleneckAttention::projected(const Isa& isa, char* memory, int batch,
                                                              int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  Projected result{};
  result.length = length;
  result.parts = reinterpret_cast<float*>(memory);
  result.query_key = result.parts + tokens * 3 * intra;
  char* own = memory + round_up_to_cache_line(tokens * 5 * intra * sizeof(float));
  if (int8)
    result.packed = packed_heads(isa, own, static_cast<size_t>(batch) * heads, head_size(), length);
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
  product(isa, int8, x, hidden, rows, weight_in, quantized, {parts, 3 * intra, false, nullptr, 0});
  product(isa, int8, parts + intra, 3 * intra, rows, weight_qk, quantized, {query_key, 2 * intra, false, nullptr, 0});

  for (int row = 0; row < rows;) {
    const int token = first + row, sequence = token / to.length, position = token % to.length;
    const int count = to.length - position < rows - row ? to.length - position : rows - row;
    const float* keys = query_key + static_cast<size_t>(row) * 2 * intra + intra;
    const float* values = parts + static_cast<size_t>(row) * 3 * intra + 2 * intra;
    if (int8)
      for (int head = 0; head < heads; head++)
        pack_head(isa, to.packed, static_cast<size_t>(sequence) * heads + head, head_size(), to.length,
                  {keys + head * head_size(), 2 * intra, values + head * head_size(), 3 * intra, position, count});
    else
      transpose_keys(isa, keys, to, sequence, position, count);
    row += count;
  }
}

// Writes the keys of a part of a sequence, [token][channel], as [channel][token].
void BottleneckAttention::transpose_keys(const Isa& isa, const float* from, const Projected& to, int sequence,
                                         int position, int count) const {
  const int padded = padded_length(isa, to.length);
  float* keys = to.keys + static_cast<size_t>(sequence) * intra * padded + position;
  isa.transpose(from, 2 * intra, count, intra, keys, padded);
  // Pads the keys after the last token to a whole vector. Any finite number will do: the mask removes them.
  if (position + count == to.length)
    for (int i = 0; i < intra; i++)
      for (int j = count; j < padded - position; j++) keys[static_cast<size_t>(i) * padded + j] = 0.0f;
}

size_t BottleneckAttention::attend_scratch(const Isa& isa, int length, int rows) const {
  const int padded = padded_length(isa, length);
  const size_t head = int8 ? packed_scratch(padded, head_size()) : float_bytes(ATTENTION_ROWS, padded);
  return float_bytes(rows, intra) + head + float_bytes(1, padded) + quantized_bytes(rows, intra);
}

void BottleneckAttention::attend(const Isa& isa, const Projected& from, const Mask& mask, int sequence, float* y,
                                 int first, int rows, char* memory) const {
  Scratch scratch(memory);
  const int size = head_size(), padded = padded_length(isa, from.length);
  float* context = scratch.take<float>(static_cast<size_t>(rows) * intra);
  char* head_memory =
      scratch.take<char>(int8 ? packed_scratch(padded, size) : float_bytes(ATTENTION_ROWS, padded));
  float* padded_mask = scratch.take<float>(padded);
  const Quantized quantized = take_quantized(scratch, rows, intra);

  const size_t start = static_cast<size_t>(sequence) * from.length, token = start + first;
  const float* keys = int8 ? nullptr : from.keys + static_cast<size_t>(sequence) * intra * padded;
  const float* values = from.parts + start * 3 * intra + 2 * intra;
  const float* queries = from.query_key + token * 2 * intra;
  // A padding mask is the same for all heads and rows. Where rows have masks of their own, they are computed one by
  // one.
  const bool heads_differ = mask.strides[1] != 0;
  const int at_once = mask.strides[2] ? 1 : rows;
  int length = 0;
  for (int head = 0; head < heads; head++) {
    const int channel = head * size;
    for (int row = 0; row < rows; row += at_once) {
      if (heads_differ || at_once < rows || head == 0)
        length = pad_mask(mask.row(sequence, head, first + row), mask.strides[3], from.length, padded,
                          int8 ? LOG2_E : 1.0f, padded_mask);
      const float* query = queries + static_cast<size_t>(row) * 2 * intra + channel;
      float* to = context + static_cast<size_t>(row) * intra + channel;
      if (int8) {
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
  const float* inner = from.parts + token * 3 * intra;
  product(isa, int8, context, intra, rows, weight_out, quantized, {y, intra, false, inner, 3 * intra});
}

}  // namespace mbert
