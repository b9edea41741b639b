// Vectors of a fixed width, in clang's own terms, so that one text serves every instruction set.
//
// A file that includes this says how wide a vector is (LANES, a power of two) and how a fused multiply-add is written.
#pragma once

#include <stddef.h>
#include <stdint.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef LANES
#error "LANES: how many floats a vector has"
#endif

namespace {

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef int8_t Bytes __attribute__((vector_size(LANES * 4)));   // as many bytes as a vector of floats has

// An activation in 8 bits, as a product reads it, and as many as four vectors of floats have.
#ifdef WIDE_ROWS
typedef int16_t Number;
#else
typedef int8_t Number;
#endif
typedef Number Numbers __attribute__((vector_size(4 * LANES * sizeof(Number))));

// The same, where they lie in memory: at any address, and whatever type is there.
typedef Floats LooseFloats __attribute__((aligned(1), may_alias));
typedef Bytes LooseBytes __attribute__((aligned(1), may_alias));
typedef Numbers LooseNumbers __attribute__((aligned(1), may_alias));
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

// Of two floats the larger one; NaN where x is.
inline Floats larger(Floats x, Floats other) {
#if defined(__aarch64__)
  return reinterpret_cast<Floats>(vmaxq_f32(reinterpret_cast<float32x4_t>(x), reinterpret_cast<float32x4_t>(other)));
#else
  return x < other ? other : x;
#endif
}

inline float sum_of(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  return lanes[0];
}

// The nearest whole numbers, the even one of two, of floats whose magnitude is less than 2^22.
inline Ints nearest(Floats x) {
#if defined(__aarch64__)
  return reinterpret_cast<Ints>(vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(x)));
#else
  // Such a float plus 1.5 · 2^23 has the whole number in its last bits.
  return reinterpret_cast<Ints>(x + 12582912.0f) - 0x4b400000;
#endif
}

// Four vectors of numbers that are bytes, one behind the other.
inline Numbers narrow(const Ints (&numbers)[4]) {
#if defined(__AVX512BW__)
  // Packing goes by parts of 128 bits, so that its result is a square of words to be transposed.
  const auto in = [&](int i) { return reinterpret_cast<__m512i>(numbers[i]); };
  const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(in(0), in(1)), _mm512_packs_epi32(in(2), in(3)));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return reinterpret_cast<Numbers>(_mm512_permutexvar_epi32(order, packed));
#else
  typedef int32_t Four __attribute__((vector_size(LANES * 16)));
  Four all;
  __builtin_memcpy(&all, numbers, sizeof(all));
  return __builtin_convertvector(all, Numbers);
#endif
}

// The lanes of two vectors in turns, of their first halves and of their second.
#if LANES == 4
#define FIRST_HALVES 0, 4, 1, 5
#define SECOND_HALVES 2, 6, 3, 7
#elif LANES == 8
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 16
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

// Transposes a square. Each step moves the first bit of the row's number behind the last of the column's; after as many
// steps as each has bits, they have changed places.
inline void transpose(Floats (&block)[LANES]) {
  for (int step = 1; step < LANES; step *= 2) {
    Floats next[LANES];
    for (int i = 0; i < LANES / 2; i++) {
      next[2 * i] = __builtin_shufflevector(block[i], block[i + LANES / 2], FIRST_HALVES);
      next[2 * i + 1] = __builtin_shufflevector(block[i], block[i + LANES / 2], SECOND_HALVES);
    }
    for (int i = 0; i < LANES; i++) block[i] = next[i];
  }
}

}  // namespace
