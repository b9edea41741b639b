// Vectors of a fixed width, in clang's own terms, so that one text serves every instruction set.
//
// A file that includes this says how wide a vector is (LANES, a power of two) and how a fused multiply-add is written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifndef LANES
#error "LANES: how many floats a vector has"
#endif

namespace {

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef int8_t Bytes __attribute__((vector_size(LANES * 4)));   // as many bytes as a vector of floats has
typedef int8_t Narrow __attribute__((vector_size(LANES)));      // a byte for each float

// The same, where they lie in memory: at any address, and whatever type is there.
typedef Floats LooseFloats __attribute__((aligned(1), may_alias));
typedef Bytes LooseBytes __attribute__((aligned(1), may_alias));
typedef Narrow LooseNarrow __attribute__((aligned(1), may_alias));
typedef int32_t LooseInt __attribute__((aligned(1), may_alias));

inline Floats load(const float* p) { return *reinterpret_cast<const LooseFloats*>(p); }
inline void store(float* p, Floats x) { *reinterpret_cast<LooseFloats*>(p) = x; }
inline Bytes load_bytes(const void* p) { return *reinterpret_cast<const LooseBytes*>(p); }
inline Floats all(float x) { return x - Floats{}; }
inline Ints all(int32_t x) { return x - Ints{}; }

inline Floats fma(Floats a, Floats b, Floats c) {
#ifdef HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// A comparison's lanes are all ones or zero; what is not comparable (NaN) is kept.
inline Floats relu(Floats x) { return x < Floats{} ? Floats{} : x; }

inline float sum_of(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  return lanes[0];
}

}  // namespace
