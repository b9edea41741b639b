#include "operators/blocks.h"

namespace mbert {

namespace {

// Hands out parts of a scratch.
class Scratch {
 public:
  explicit Scratch(char* memory) : at_(memory) {}
  template <class Number>
  Number* take(size_t count) {
    Number* found = reinterpret_cast<Number*>(at_);
    at_ += in_lines(count * sizeof(Number));
    return found;
  }

 private:
  char* at_;
};

size_t floats(int rows, int columns) { return in_lines(static_cast<size_t>(rows) * columns * sizeof(float)); }

// Bytes of rows of whole numbers, for any instruction set.
size_t numbers(int rows, int columns) {
  constexpr int DEEPEST = 64, WIDEST = 2;
  return static_cast<size_t>(rounded_up(rows, ROWS_AT_ONCE)) * rounded_up(columns, DEEPEST) * WIDEST;
}

size_t quantized(int rows, int columns) {
  return in_lines(numbers(rows, columns)) + 2 * in_lines(rows * sizeof(float));
}

Quantized take_quantized(Scratch& scratch, int rows, int columns) {
  char* whole = scratch.take<char>(numbers(rows, columns));
  float* steps = scratch.take<float>(rows);
  return {whole, steps, scratch.take<int32_t>(rows)};
}

// output = rows·weight …, in the precision that the weight has.
void product(const Isa& isa, bool int8, const float* x, int stride, int rows, const Weight& weight,
             const Quantized& quantized, const Output& output) {
  if (!int8) {
    isa.multiply_float({x, stride, nullptr, nullptr}, rows, weight, output);
    return;
  }
  const int packed = rounded_up(weight.k, isa.depth);
  isa.quantize(x, stride, rows, weight.k, quantized.numbers, packed, quantized.steps, quantized.sums);
  isa.multiply_int8({quantized.numbers, packed, quantized.steps, quantized.sums}, rows, weight, output);
}

int larger(int a, int b) { return a > b ? a : b; }

constexpr float NO_TOKEN = -__builtin_inff();

// Below this a score adds nothing to softmax, whatever the others are: e^-100 is 0 in float32, and scores are far from
// 1e30. Exporters write half of float32's lowest number, or the lowest, or −∞.
constexpr float MASKED = -1e30f;

}  // namespace

size_t StackedFFN::scratch(int rows) const {
  return floats(rows, intra) + floats(rows, intermediate) + quantized(rows, larger(intra, intermediate));
}

void StackedFFN::run(const Isa& isa, const float* x, const float* residual, float* y, int rows, char* memory) const {
  Scratch scratch(memory);
  float* stream = scratch.take<float>(static_cast<size_t>(rows) * intra);
  float* wide = scratch.take<float>(static_cast<size_t>(rows) * intermediate);
  const Quantized space = take_quantized(scratch, rows, larger(intra, intermediate));
  const float* u = x;
  for (int i = 0; i < networks; i++) {
    product(isa, int8, u, intra, rows, weight1[i], space, {wide, intermediate, true, nullptr, 0});
    product(isa, int8, wide, intermediate, rows, weight2[i], space, {stream, intra, false, u, intra});
    u = stream;
  }
  product(isa, int8, u, intra, rows, weight_out, space, {y, hidden, false, residual, hidden});
}

size_t BottleneckAttention::projected_floats(const Isa& isa, int batch, int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  // The last value is read up to a whole vector.
  return tokens * 5 * intra + static_cast<size_t>(batch) * intra * padded_length(isa, length) + isa.lanes;
}

BottleneckAttention::Projected BottleneckAttention::projected(float* memory, int batch, int length) const {
  const size_t tokens = static_cast<size_t>(batch) * length;
  float* query_key = memory + tokens * 3 * intra;
  return {memory, query_key, query_key + tokens * 2 * intra, length};
}

size_t BottleneckAttention::project_scratch(int rows) const { return quantized(rows, larger(hidden, intra)); }

void BottleneckAttention::project(const Isa& isa, const float* x, const Projected& to, int first, int rows,
                                  char* memory) const {
  Scratch scratch(memory);
  const Quantized space = take_quantized(scratch, rows, larger(hidden, intra));
  float* parts = to.parts + static_cast<size_t>(first) * 3 * intra;
  float* query_key = to.query_key + static_cast<size_t>(first) * 2 * intra;
  product(isa, int8, x, hidden, rows, weight_in, space, {parts, 3 * intra, false, nullptr, 0});
  product(isa, int8, parts + intra, 3 * intra, rows, weight_qk, space, {query_key, 2 * intra, false, nullptr, 0});

  const int padded = padded_length(isa, to.length);
  for (int row = 0; row < rows;) {
    const int token = first + row, sequence = token / to.length, place = token % to.length;
    const int count = to.length - place < rows - row ? to.length - place : rows - row;
    float* keys = to.keys + static_cast<size_t>(sequence) * intra * padded + place;
    isa.transpose(query_key + static_cast<size_t>(row) * 2 * intra + intra, 2 * intra, count, intra, keys, padded);
    // Behind the last token, what fills its vector up: any number will do that is one.
    if (place + count == to.length)
      for (int i = 0; i < intra; i++)
        for (int j = count; j < padded - place; j++) keys[static_cast<size_t>(i) * padded + j] = 0.0f;
    row += count;
  }
}

size_t BottleneckAttention::attend_scratch(const Isa& isa, int length, int rows) const {
  const int padded = padded_length(isa, length);
  return floats(rows, intra) + floats(ATTENTION_ROWS, padded) + floats(1, padded) + quantized(rows, intra);
}

void BottleneckAttention::attend(const Isa& isa, const Projected& from, const float* mask, int sequence, float* y,
                                 int first, int rows, char* memory) const {
  Scratch scratch(memory);
  const int size = head_size(), padded = padded_length(isa, from.length);
  float* context = scratch.take<float>(static_cast<size_t>(rows) * intra);
  float* scores = scratch.take<float>(static_cast<size_t>(ATTENTION_ROWS) * padded);
  float* own_mask = scratch.take<float>(padded);
  const Quantized space = take_quantized(scratch, rows, intra);

  // Padding at the end is left out, unless there is nothing else: its weight is 0.
  int length = from.length;
  while (length > 0 && mask[length - 1] <= MASKED) length--;
  if (length == 0) length = from.length;
  for (int i = 0; i < padded; i++) own_mask[i] = i < length ? mask[i] : NO_TOKEN;

  const size_t start = static_cast<size_t>(sequence) * from.length, token = start + first;
  const float* keys = from.keys + static_cast<size_t>(sequence) * intra * padded;
  const float* values = from.parts + start * 3 * intra + 2 * intra;
  const float* queries = from.query_key + token * 2 * intra;
  for (int head = 0; head < heads; head++) {
    const int channel = head * size;
    const Head one{keys + static_cast<size_t>(channel) * padded, values + channel, 3 * intra, length, padded, size,
                   own_mask};
    isa.attend(queries + channel, 2 * intra, rows, one, scores, context + channel, intra);
  }
  const float* inner = from.parts + token * 3 * intra;
  product(isa, int8, context, intra, rows, weight_out, space, {y, intra, false, inner, 3 * intra});
}

}  // namespace mbert
