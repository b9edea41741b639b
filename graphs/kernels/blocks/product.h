// A product of rows and a weight in the weight's precision, and the scratch memory of a block of rows.
#pragma once

#include "blocks/blocks.h"

namespace mbert {

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

inline size_t float_bytes(int rows, int columns) {
  return round_up_to_cache_line(static_cast<size_t>(rows) * columns * sizeof(float));
}

// Bytes of quantized rows, enough for any instruction set.
inline size_t activation_bytes(int rows, int columns) {
  constexpr int MAX_DEPTH = 64;
  return static_cast<size_t>(round_up(rows, ROWS_AT_ONCE)) * round_up(columns, MAX_DEPTH);
}

// Bytes of scratch for `Quantized`.
inline size_t quantized_bytes(int rows, int columns) {
  return round_up_to_cache_line(activation_bytes(rows, columns)) + 2 * round_up_to_cache_line(rows * sizeof(float));
}

inline Quantized take_quantized(Scratch& scratch, int rows, int columns) {
  char* activations = scratch.take<char>(activation_bytes(rows, columns));
  float* steps = scratch.take<float>(rows);
  return {activations, steps, scratch.take<int32_t>(rows)};
}

// output = rows·weight + …, in the precision of the weight. Int8 quantizes the rows first.
inline void product(const Isa& isa, Precision precision, const float* x, int stride, int rows, const Weight& weight,
                    const Quantized& quantized, const Output& output) {
  if (precision != Precision::INT8) {
    const auto multiply = precision == Precision::HALF ? isa.multiply_half : isa.multiply_float;
    multiply({x, stride, nullptr, nullptr}, rows, weight, output);
    return;
  }
  const int padded_k = round_up(weight.k, isa.depth);
  isa.quantize(x, stride, rows, weight.k, quantized.activations, padded_k, quantized.steps, quantized.starts);
  isa.multiply_int8({quantized.activations, padded_k, quantized.steps, quantized.starts}, rows, weight, output);
}

inline int maximum(int a, int b) { return a > b ? a : b; }

}  // namespace mbert
