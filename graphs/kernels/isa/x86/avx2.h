// What all instruction sets with AVX2 and without AVX-512 share: vectors, tiles of floats, and the float kernels, which
// avx2.cc defines.
#pragma once

#define LANES 8
#define HAS_FMA
#define FLOAT_ROWS 6
#define FLOAT_VECTORS 2
#define SCORE_ROWS 4
#define SCORE_VECTORS 2
#define VALUE_VECTORS 2

#include "isa/x86/shared_floats.h"

DECLARE_SHARED_FLOATS(avx2)
