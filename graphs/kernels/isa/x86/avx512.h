// What all instruction sets with AVX-512 share: vectors, tiles of float32, and the float32 kernels, which avx512.cc
// defines. Copies in each of them would make the library larger by a sixth.
#pragma once

#define LANES 16
#define HAS_FMA
#define FLOAT_ROWS 12
#define FLOAT_VECTORS 2
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define VALUE_VECTORS 2

#include "isa/isa.h"

namespace mbert {

void pack_float_avx512(const float* weight, int k, int n, void* panels);
void multiply_float_avx512(const Rows& rows, int count, const Weight& weight, const Output& output);
void attend_avx512(const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                   int out_stride);

}  // namespace mbert
