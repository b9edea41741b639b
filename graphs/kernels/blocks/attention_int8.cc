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

PackedHeads layout(const Isa& isa, int size, int length) {
  PackedHeads result;
  result.padded = round_up(length, isa.panel_int8);
  result.capacity = round_up(length, isa.depth);
  result.key_bytes = round_up_to_cache_line(static_cast<size_t>(result.padded) * round_up(size, isa.depth));
  result.value_bytes = round_up_to_cache_line(static_cast<size_t>(result.capacity) * round_up(size, isa.panel_int8));
  return result;
}

size_t step_bytes(const PackedHeads& one, size_t heads) {
  return round_up_to_cache_line(heads * one.padded * sizeof(float));
}

}  // namespace

size_t packed_heads_bytes(const Isa& isa, size_t heads, int size, int length) {
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

void pack_head(const Isa& isa, const PackedHeads& to, size_t head, int size, int length, const HeadPart& part) {
  float *key_steps = to.key_steps + head * to.padded, *value_steps = to.value_steps + head * to.padded;
  isa.pack_keys(part.keys, part.key_stride, part.count, size, part.first, to.keys + head * to.key_bytes, key_steps);
  isa.pack_values(part.values, part.value_stride, part.count, size, part.first, to.capacity,
                  to.values + head * to.value_bytes, value_steps);
  // Padding has steps of 0; its integers may be any, since they are multiplied by 0.
  if (part.first + part.count == length)
    for (int i = length; i < to.padded; i++) key_steps[i] = value_steps[i] = 0.0f;
}

size_t packed_scratch(int padded, int size) {
  return float_bytes(QUERY_ROWS, padded) + quantized_bytes(QUERY_ROWS, maximum(padded, size));
}

void attend_packed(const Isa& isa, const PackedHeads& from, const Queries& queries, char* memory) {
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
    // One panel of values after the other, because a panel begins at `capacity` rows and not after the last one.
    for (int channel = 0; channel < size; channel += isa.panel_int8) {
      Weight values;
      values.k = queries.length;
      values.n = size - channel < isa.panel_int8 ? size - channel : isa.panel_int8;
      values.panels = from.values + queries.head * from.value_bytes + static_cast<size_t>(channel) * from.capacity;
      values.scales = const_cast<float*>(ONES.values);
      isa.multiply_int8({quantized.activations, stride, quantized.steps, quantized.starts}, rows, values,
                        {to + channel, queries.context_stride, false, nullptr, 0});
    }
  }
}

}  // namespace mbert
