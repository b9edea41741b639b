// A product of rows and a constant weight, by the kernels' arithmetic.
#pragma once

#include "isa/isa.h"
#include "standalone/operators/operator.h"

namespace mbert {

// A constant weight [k, n]. In 8 bits it has one more row, of zeros; `sums` are those of its columns.
struct PackedWeight {
  const Isa* isa;
  Precision precision;
  int64_t k;
  Weight weight;
  int32_t* sums;
};

// Packs a weight, which `release_weight` releases, also after an error.
Status pack_weight(const Tensor& given, bool is_transposed, PackedWeight** packed);
// Packs input 1 of a node, of which `is_transposed` says whether it is [n, k].
Status pack_weight(Loading& node, bool is_transposed);
void release_weight(PackedWeight* packed);

// y [m, n] = x [m, k] · weight + y?
struct Product {
  const PackedWeight& packed;
  const float* x;
  float* y;
  int64_t m;
  bool adds;  // y to the product

  void run(int threads);
};

// Computes y [m, n] = x [m, k] · weight exactly, for x of uint8.
Status multiply_integers(const PackedWeight& packed, const uint8_t* x, int64_t zero_point, int64_t m, int threads, int32_t* y);

}  // namespace mbert
