#include "operators/blocks.h"

namespace mbert {

namespace {

// A bump allocator over a block of scratch memory.
class Scratch {
 public:
  explicit Scratch(char* memory) : at_(memory) {}
  template <class Element>
  Element* take(size_t count) {
    Element* taken = reinterpret_cast<Element*>(at_);
    at_ += round_up_to_cache_line(count * sizeof(Element));
    return taken;
  }

 private:
  char* at_;
};

size_t float_bytes(int rows, int columns) {
  return round_up_to_cache_line(static_cast<size_t>(rows) * columns * sizeof(float));
}

// Bytes of quantized rows, enough for any instruction set.
size_t activation_bytes(int rows, int columns) {
  constexpr int MAX_DEPTH = 64, MAX_BYTES = 2;
  return static_cast<size_t>(round_up(rows, ROWS_AT_ONCE)) * round_up(columns, MAX_DEPTH) * MAX_BYTES;
}

// Bytes of scratch for `Quantized`.
size_t quantized_bytes(int rows, int columns) {
  return round_up_to_cache_line(activation_bytes(rows, columns)) + 2 * round_up_to_cache_line(rows * sizeof(float));
}

Quantized take_quantized(Scratch& scratch, int rows, int columns) {
  char* activations = scratch.take<char>(activation_bytes(rows, columns));
  float* steps = scratch.take<float>(rows);
  return {activations, steps, scratch.take<int32_t>(rows)};
}

// output = rows·weight + …, in the precision of the weight. Int8 quantizes the rows first.
void product(const Isa& isa, bool int8, const float* x, int stride, int rows, const Weight& weight,
             const Quantized& quantized, const Output& output) {
  if (!int8) {
    isa.multiply_float({x, stride, nullptr, nullptr}, rows, weight, output);
    return;
  }
  const int padded_k = round_up(weight.k, isa.depth);
  isa.quantize(x, stride, rows, weight.k, quantized.activations, padded_k, quantized.steps, quantized.sums);
  isa.multiply_int8({quantized.activations, padded_k, quantized.steps, quantized.sums}, rows, weight, output);
}

int maximum(int a, int b) { return a > b ? a : b; }

constexpr float PADDING_MASK = -__builtin_inff();

// A mask at or below this removes the token from softmax: e^-100 is already negligible in float32, and scores are far
// below 1e30. Exporters write half of float32's lowest number, the lowest number, or −∞.
constexpr float MASKED = -1e30f;

// Writes a row of a mask, padded to whole vectors, and returns the number of tokens that are attended to: without the
// padding at the end, whose weight in softmax is 0, unless the whole row is padding.
int pad_mask(const float* row, int64_t stride, int tokens, int padded, float* to) {
  int length = tokens;
  while (length > 0 && row[(length - 1) * stride] <= MASKED) length--;
  if (length == 0) length = tokens;
  for (int i = 0; i < padded; i++) to[i] = i < length ? row[i * stride] : PADDING_MASK;
  return length;
}

}  // namespace

size_t StackedFFN::scratch(int rows) const {
  return float_bytes(rows, intra) + float_bytes(rows, intermediate) +
         quantized_bytes(rows, maximum(intra, intermediate));
}

void StackedFFN::run(const Isa& isa, const float* x, const float* residual, float* y, int rows, char* memory) const {
  Scratch scratch(memory);
  float* stream = scratch.take<float>(static_cast<size_t>(rows) * intra);
  float* wide = scratch.take<float>(static_cast<size_t>(rows) * intermediate);
  const Quantized quantized = take_quantized(scratch, rows, maximum(intra, intermediate));
  const float* u = x;
  for (int i = 0; i < networks; i++) {
    product(isa, int8, u, intra, rows, weight1[i], quantized, {wide, intermediate, true, nullptr, 0});
    product(isa, int8, wide, intermediate, rows, weight2[i], quantized, {stream, intra, false, u, intra});
    u = stream;
  }
  product(isa, int8, u, intra, rows, weight_out, quantized, {y, hidden, false, residual, hidden});
}

size_t BottleneckAttention::projected_floats(const Isa& isa, int batch, int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  // The last row of values is read up to a whole vector.
  return tokens * 5 * intra + static_cast<size_t>(batch) * intra * padded_length(isa, length) + isa.lanes;
}

BottleneckAttention::Projected BottleneckAttention::projected(float* memory, int batch, int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  float* query_key = memory + tokens * 3 * intra;
  return {memory, query_key, query_key + tokens * 2 * intra, length};
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

  const int padded = padded_length(isa, to.length);
  for (int row = 0; row < rows;) {
    const int token = first + row, sequence = token / to.length, position = token % to.length;
    const int count = to.length - position < rows - row ? to.length - position : rows - row;
    float* keys = to.keys + static_cast<size_t>(sequence) * intra * padded + position;
    isa.transpose(query_key + static_cast<size_t>(row) * 2 * intra + intra, 2 * intra, count, intra, keys, padded);
    // Pads the keys after the last token to a whole vector. Any finite number will do: the mask removes them.
    if (position + count == to.length)
      for (int i = 0; i < intra; i++)
        for (int j = count; j < padded - position; j++) keys[static_cast<size_t>(i) * padded + j] = 0.0f;
    row += count;
  }
}

size_t BottleneckAttention::attend_scratch(const Isa& isa, int length, int rows) const {
  const int padded = padded_length(isa, length);
  return float_bytes(rows, intra) + float_bytes(ATTENTION_ROWS, padded) + float_bytes(1, padded) +
         quantized_bytes(rows, intra);
}

void BottleneckAttention::attend(const Isa& isa, const Projected& from, const Mask& mask, int sequence, float* y,
                                 int first, int rows, char* memory) const {
  Scratch scratch(memory);
  const int size = head_size(), padded = padded_length(isa, from.length);
  float* context = scratch.take<float>(static_cast<size_t>(rows) * intra);
  float* scores = scratch.take<float>(static_cast<size_t>(ATTENTION_ROWS) * padded);
  float* padded_mask = scratch.take<float>(padded);
  const Quantized quantized = take_quantized(scratch, rows, intra);

  const size_t start = static_cast<size_t>(sequence) * from.length, token = start + first;
  const float* keys = from.keys + static_cast<size_t>(sequence) * intra * padded;
  const float* values = from.parts + start * 3 * intra + 2 * intra;
  const float* queries = from.query_key + token * 2 * intra;
  // A padding mask is the same for all heads and rows. Where rows have masks of their own, they are computed one by one.
  const bool heads_differ = mask.strides[1] != 0;
  const int at_once = mask.strides[2] ? 1 : rows;
  int length = 0;
  for (int head = 0; head < heads; head++) {
    const int channel = head * size;
    for (int row = 0; row < rows; row += at_once) {
      if (heads_differ || at_once < rows || head == 0)
        length = pad_mask(mask.row(sequence, head, first + row), mask.strides[3], from.length, padded, padded_mask);
      const Head view{keys + static_cast<size_t>(channel) * padded, values + channel, 3 * intra, length, padded, size,
                      padded_mask};
      isa.attend(queries + static_cast<size_t>(row) * 2 * intra + channel, 2 * intra, at_once, view, scores,
                 context + static_cast<size_t>(row) * intra + channel, intra);
    }
  }
  const float* inner = from.parts + token * 3 * intra;
  product(isa, int8, context, intra, rows, weight_out, quantized, {y, intra, false, inner, 3 * intra});
}

}  // namespace mbert
