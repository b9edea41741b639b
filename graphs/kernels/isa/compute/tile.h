// The shape of a tile, and what every kernel of a tile uses: forced inlining, full unrolling, and prefetch.
#pragma once

#include "isa/isa.h"
#include "isa/vectors.h"

namespace {

using mbert::ATTENTION_ROWS;
using mbert::Head;
using mbert::Output;
using mbert::QUERY_ROWS;
using mbert::Rows;
using mbert::Weight;
using mbert::round_up;

#ifndef GROUP
#define GROUP 4
#endif
#ifndef DEPTH
#define DEPTH GROUP
#endif

// For the parts of a tile: its accumulators stay in registers only if the tile is one function without loops over them.
#define INLINED __attribute__((always_inline)) inline
#define UNROLLED _Pragma("clang loop unroll(full)")
// WebAssembly's code is downloaded, so functions that are called from several places (SHARED_CODE) are there once.
#if defined(__wasm__)
#define SMALL_CODE true
#define SHARED_CODE __attribute__((noinline))
#else
#define SMALL_CODE false
#define SHARED_CODE inline
#endif

// Columns of a panel of packed weights: the width of a tile.
constexpr int INT8_PANEL = LANES * INT8_VECTORS, FLOAT_PANEL = LANES * FLOAT_VECTORS;
// The offset of unsigned weights.
#ifdef ENGINE_SHIFT
const int32_t& SHIFT = ENGINE_SHIFT;
#else
constexpr int32_t SHIFT = UNSIGNED_WEIGHTS ? 128 : 0;
#endif

// The prefetch distance in weights, in bytes. A short text reads every weight once, from far away in the memory
// hierarchy, and the hardware prefetcher stops at each page boundary of 4096 bytes. The next weight follows the end of
// a weight. Int8 weights of a whole model fit a large L3 cache, from which far more can be on its way than from memory:
// with 65,536 bytes in place of 8,192, whole int8 models took 0.90 times as long at 8 tokens on an AMD EPYC 9005, and
// float32 ones 1.04 times. Not measured on aarch64.
#if defined(__x86_64__)
constexpr int INT8_AHEAD = 65536;
#else
constexpr int INT8_AHEAD = 8192;
#endif
constexpr int FLOAT_AHEAD = 8192;

// WebAssembly has no instruction that prefetches.
#if defined(__wasm__)
constexpr bool PREFETCHES = false;
#else
constexpr bool PREFETCHES = true;
#endif

// Prefetches BYTES bytes, AHEAD bytes after the BYTES bytes at `weights` that are read now.
template <int BYTES, int AHEAD>
inline void fetch_ahead(const void* weights) {
  for (int line = 0; line < BYTES; line += static_cast<int>(mbert::CACHE_LINE))
    __builtin_prefetch(static_cast<const char*>(weights) + AHEAD + line);
}

}  // namespace
