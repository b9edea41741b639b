#include "blocks/product.h"

namespace mbert {

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
    product(isa, precision, u, intra, rows, weight1[i], quantized, {wide, intermediate, true, nullptr, 0});
    product(isa, precision, wide, intermediate, rows, weight2[i], quantized, {stream, intra, false, u, intra});
    u = stream;
  }
  product(isa, precision, u, intra, rows, weight_out, quantized, {y, hidden, false, residual, hidden});
}

}  // namespace mbert
