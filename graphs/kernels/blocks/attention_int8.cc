#include "blocks/packed_heads.h"
#include "blocks/product.h"

namespace mbert {

namespace {

// Bytes that quantized rows are padded to, so that whole vectors are stored.
constexpr int ROW_MULTIPLE = 64;

// The scale of each column of values: their steps are in the probabilities already.
struct Ones {
  static constexpr int MOST = 64;  // columns of the widest panel
  float values[MOST] = {};
  constexpr Ones() {
    for (float& value : values) value = 1.0f;
  }
};
constexpr Ones ONES;

// The instruction set for a number of tokens, whether or not they are padded to whole panels: no instruction set has
// panels wider than SHORT_SEQUENCE.
const Isa& isa_for(const Isa& isa, int tokens) {
  return isa.short_attention && tokens <= SHORT_SEQUENCE ? *isa.short_attention : isa;
}

PackedHeads layout(const Isa& any, int size, int length) {
  const Isa& isa = isa_for(any, length);
  PackedHeads result;
  result.padded = round_up(length, isa.panel_int8);
  result.key_bytes = round_up_to_cache_line(static_cast<size_t>(result.padded) * round_up(size, isa.depth));
  result.value_bytes = round_up_to_cache_line(static_cast<size_t>(result.padded) * round_up(size, isa.panel_int8));
  return result;
}

// A panel of a head's values, which begins at a channel, with as many rows as tokens are attended to.
Weight panel_of(const Isa& isa, const PackedHeads& from, const Queries& queries, int padded, int channel) {
  Weight values;
  values.k = padded;
  values.n = queries.size - channel < isa.panel_int8 ? queries.size - channel : isa.panel_int8;
  values.panels =
      from.values + queries.head * from.value_bytes + static_cast<size_t>(channel) * from.padded;
  values.scales = const_cast<float*>(ONES.values);
  return values;
}

// Writes what the accumulators of a panel of values start with. Quantized probabilities are 127 too small, so that is 127
// times the sum of each column: the product with a row of ones.
void write_starts(const Isa& isa, const Weight& values, int8_t* ones, int32_t* starts) {
  const int stride = round_up(values.k, ROW_MULTIPLE);
  for (int i = 0; i < 2 * stride; i++) ones[i] = 1;  // two rows, which some instruction sets interleave
  const float step = 1.0f;
  const int32_t start = -isa.weight_shift * values.k;
  float sums[Ones::MOST];
  isa.multiply_int8({ones, stride, &step, &start}, 1, values, {sums, Ones::MOST, false, nullptr, 0});
  for (int i = 0; i < values.n; i++) starts[i] = 127 * static_cast<int32_t>(sums[i]);
}

uint64_t step_bytes(const PackedHeads& one, uint64_t heads) {
  return round_up_to_cache_line(heads * one.padded * sizeof(float));
}

}  // namespace

uint64_t packed_heads_bytes(const Isa& isa, uint64_t heads, int size, int length) {
  const PackedHeads one = layout(isa, size, length);
  return heads * (one.key_bytes + one.value_bytes) + 2 * step_bytes(one, heads);
}

PackedHeads packed_heads(const Isa& isa, char* memory, size_t heads, int size, int length) {
  PackedHeads result = layout(isa, size, length);
  result.keys = reinterpret_cast<int8_t*>(memory);
  result.values = result.keys + heads * result.key_bytes;
  result.key_steps = reinterpret_cast<float*>(result.values + heads * result.value_bytes);
  result.value_steps = result.key_steps + step_bytes(result, heads) / sizeof(float);
  return result;
}

void pack_head(const Isa& any, const PackedHeads& to, size_t head, int size, int length, const HeadPart& part) {
  const Isa& isa = isa_for(any, to.padded);
  float *key_steps = to.key_steps + head * to.padded, *value_steps = to.value_steps + head * to.padded;
  isa.pack_keys(part.keys, part.key_stride, part.count, size, part.first, to.keys + head * to.key_bytes, key_steps);
  isa.pack_values(part.values, part.value_stride, part.count, size, part.first, to.padded,
                  to.values + head * to.value_bytes, value_steps);
  // Padding has steps of 0; its integers may be any, since its probabilities are 0.
  if (part.first + part.count == length)
    for (int i = length; i < to.padded; i++) key_steps[i] = value_steps[i] = 0.0f;
}

size_t packed_scratch(int padded, int size) {
  // A row of float32 for each channel's start, too: `size` rounded up to whole panels.
  return float_bytes(QUERY_ROWS, padded) + quantized_bytes(QUERY_ROWS, maximum(padded, size)) +
         float_bytes(1, round_up(size, Ones::MOST));
}

void attend_packed(const Isa& any, const PackedHeads& from, const Queries& queries, char* memory) {
  const Isa& isa = isa_for(any, from.padded);
  Scratch scratch(memory);
  const int size = queries.size, padded = round_up(queries.length, isa.panel_int8);
  float* scores = scratch.take<float>(static_cast<size_t>(QUERY_ROWS) * padded);
  const Quantized quantized = take_quantized(scratch, QUERY_ROWS, maximum(padded, size));
  Weight keys;
  keys.k = size;
  keys.n = padded;
  keys.panels = from.keys + queries.head * from.key_bytes;
  keys.scales = from.key_steps + queries.head * from.padded;
  const float* value_steps = from.value_steps + queries.head * from.padded;
  int32_t* starts = scratch.take<int32_t>(round_up(size, Ones::MOST));
  for (int channel = 0; channel < size; channel += isa.panel_int8)
    write_starts(isa, panel_of(isa, from, queries, padded, channel), static_cast<int8_t*>(quantized.activations),
                 starts + channel);
  for (int first = 0; first < queries.rows; first += QUERY_ROWS) {
    const int rows = queries.rows - first < QUERY_ROWS ? queries.rows - first : QUERY_ROWS;
    int stride = round_up(size, ROW_MULTIPLE);
    isa.quantize(queries.data + static_cast<size_t>(first) * queries.stride, queries.stride, rows, size,
                 quantized.activations, stride, quantized.steps, quantized.starts);
    for (int row = 0; row < rows; row++) quantized.steps[row] *= LOG2_E;
    isa.multiply_int8({quantized.activations, stride, quantized.steps, quantized.starts}, rows, keys,
                      {scores, padded, false, queries.mask, 0});
    stride = round_up(padded, ROW_MULTIPLE);
    isa.quantized_softmax(scores, padded, rows, padded, value_steps, quantized.activations, stride, quantized.steps,
                          quantized.starts);
    float* to = queries.context + static_cast<size_t>(first) * queries.context_stride;
    // One panel of values after the other, because a panel has rows for all tokens of the sequence.
    for (int channel = 0; channel < size; channel += isa.panel_int8) {
      Weight values = panel_of(isa, from, queries, padded, channel);
      values.starts = starts + channel;
      isa.multiply_int8({quantized.activations, stride, quantized.steps, quantized.starts}, rows, values,
                        {to + channel, queries.context_stride, false, nullptr, 0});
    }
  }
}

}  // namespace mbert
