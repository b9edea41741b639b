// Vectors of a fixed width, in clang's vector extensions, so that one source serves every instruction set.
//
// A file that includes this has defined LANES, the floats of a vector (a power of two), and, where the instruction set
// has a fused multiply-add, HAS_FMA.
#pragma once

#include <stddef.h>
#include <stdint.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

#ifndef LANES
#error "LANES is not defined; expected the floats of a vector"
#endif

namespace {

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef int8_t Bytes __attribute__((vector_size(LANES * 4)));   // as wide as a vector of floats

// The same types in memory: unaligned, and allowed to alias any other type.
typedef Floats UnalignedFloats __attribute__((aligned(1), may_alias));
typedef Bytes UnalignedBytes __attribute__((aligned(1), may_alias));
typedef int32_t UnalignedInt __attribute__((aligned(1), may_alias));

inline Floats load(const float* p) { return *reinterpret_cast<const UnalignedFloats*>(p); }
inline void store(float* p, Floats x) { *reinterpret_cast<UnalignedFloats*>(p) = x; }
inline Bytes load_bytes(const void* p) { return *reinterpret_cast<const UnalignedBytes*>(p); }
inline Floats splat(float x) { return x - Floats{}; }
inline Ints splat(int32_t x) { return x - Ints{}; }

// A constant that stays in a register in a loop. V8 would make it anew at each use, in three instructions on x86-64.
template <class Vector>
inline Vector constant(Vector x) {
#if defined(__wasm__)
  __asm__("" : "+r"(x));
#endif
  return x;
}

inline Floats fma(Floats a, Floats b, Floats c) {
#if defined(HAS_FMA) && defined(__wasm__)
  // Rounded once or twice, as the engine prefers.
  return reinterpret_cast<Floats>(wasm_f32x4_relaxed_madd(reinterpret_cast<v128_t>(a), reinterpret_cast<v128_t>(b),
                                                          reinterpret_cast<v128_t>(c)));
#elif defined(HAS_FMA)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// The maximum of each lane; NaN where x is NaN.
inline Floats maximum(Floats x, Floats other) {
#if defined(__aarch64__)
  return reinterpret_cast<Floats>(vmaxq_f32(reinterpret_cast<float32x4_t>(x), reinterpret_cast<float32x4_t>(other)));
#elif defined(__wasm__)
  return reinterpret_cast<Floats>(wasm_f32x4_pmax(reinterpret_cast<v128_t>(x), reinterpret_cast<v128_t>(other)));
#else
  return x < other ? other : x;
#endif
}

// The horizontal sum, in a fixed order: halves are added to each other.
inline float sum_of_lanes(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  return lanes[0];
}

// The horizontal maximum, likewise.
inline float max_of_lanes(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] < lanes[i + width] ? lanes[i + width] : lanes[i];
  return lanes[0];
}

// Rounds to the nearest integer, ties to even. Floats must have a magnitude below 2^22.
inline Ints round_to_nearest(Floats x) {
#if defined(__aarch64__)
  return reinterpret_cast<Ints>(vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(x)));
#elif LANES == 16
  return reinterpret_cast<Ints>(_mm512_cvtps_epi32(reinterpret_cast<__m512>(x)));
#elif LANES == 8
  return reinterpret_cast<Ints>(_mm256_cvtps_epi32(reinterpret_cast<__m256>(x)));
#else
  // The sum with 1.5 · 2^23 has the rounded integer in its last bits.
  return reinterpret_cast<Ints>(x + constant(splat(12582912.0f))) - constant(splat(0x4b400000));
#endif
}

// Narrows four vectors of integers, which must fit a byte, to one vector of bytes.
inline Bytes narrow(const Ints (&numbers)[4]) {
#if defined(__AVX512BW__)
  // The pack instructions work within lanes of 128 bits, so their result is a 4 by 4 square of words to transpose.
  const auto in = [&](int i) { return reinterpret_cast<__m512i>(numbers[i]); };
  const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(in(0), in(1)), _mm512_packs_epi32(in(2), in(3)));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return reinterpret_cast<Bytes>(_mm512_permutexvar_epi32(order, packed));
#elif defined(__wasm__)
  const auto in = [&](int i) { return reinterpret_cast<v128_t>(numbers[i]); };
  return reinterpret_cast<Bytes>(wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(in(0), in(1)),
                                                         wasm_i16x8_narrow_i32x4(in(2), in(3))));
#else
  typedef int32_t Four __attribute__((vector_size(LANES * 16)));
  Four wide;
  __builtin_memcpy(&wide, numbers, sizeof(wide));
  return __builtin_convertvector(wide, Bytes);
#endif
}

// Shuffle masks that interleave the lanes of two vectors: of their lower halves, and of their upper halves.
#if LANES == 4
#define INTERLEAVED_LOW 0, 4, 1, 5
#define INTERLEAVED_HIGH 2, 6, 3, 7
#elif LANES == 8
#define INTERLEAVED_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define INTERLEAVED_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 16
#define INTERLEAVED_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define INTERLEAVED_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

// Transposes a square in log2(LANES) steps. Each step moves the highest bit of the row index below the lowest bit of
// the column index; after as many steps as an index has bits, row and column are exchanged.
inline void transpose(Floats (&block)[LANES]) {
  for (int step = 1; step < LANES; step *= 2) {
    Floats next[LANES];
    for (int i = 0; i < LANES / 2; i++) {
      next[2 * i] = __builtin_shufflevector(block[i], block[i + LANES / 2], INTERLEAVED_LOW);
      next[2 * i + 1] = __builtin_shufflevector(block[i], block[i + LANES / 2], INTERLEAVED_HIGH);
    }
    for (int i = 0; i < LANES; i++) block[i] = next[i];
  }
}

}  // namespace
