// What all instruction sets with AVX-512 share: vectors, tiles of floats, and the float kernels, which avx512.cc
// defines.
#pragma once

#define LANES 16
#define HAS_FMA
#define FLOAT_ROWS 12
#define FLOAT_VECTORS 2
#define HALF_ROWS 8  // 12 are as fast, and would make the library larger
#define SCORE_ROWS 8
#define SCORE_VECTORS 3
#define VALUE_VECTORS 2

#include "isa/x86/shared_floats.h"

DECLARE_SHARED_FLOATS(avx512)
