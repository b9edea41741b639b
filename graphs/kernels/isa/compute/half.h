// float16 (IEEE binary16), as its bits in uint16_t: conversion from and to float32, of vectors and of rows. Products
// convert float16 weights as they are loaded, so that they are as exact as those of the same numbers in float32.
#pragma once

#include "isa/compute/tile.h"

namespace {

typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
typedef Halves UnalignedHalves __attribute__((aligned(1), may_alias));

// Exact for all numbers: subnormal ones, infinities and NaN as well.
inline Floats to_floats(Halves x) {
#if LANES == 16
  return reinterpret_cast<Floats>(_mm512_cvtph_ps(reinterpret_cast<__m256i>(x)));
#elif LANES == 8
  return reinterpret_cast<Floats>(_mm256_cvtph_ps(reinterpret_cast<__m128i>(x)));
#elif defined(__aarch64__)
  return reinterpret_cast<Floats>(vcvt_f32_f16(reinterpret_cast<float16x4_t>(x)));
#else
  const Ints bits = __builtin_convertvector(x, Ints);
  const Ints magnitude = bits & 0x7fff;
  // Moves the exponent to its place in float32, whose bias is 112 larger; twice for infinities and NaN, whose exponent
  // is the largest one.
  const Ints offset = splat(112 << 23);
  const Ints normal = (magnitude << 13) + offset + (offset & (magnitude >= 0x7c00));
  // A subnormal number is an integer times 2^-24.
  const Ints subnormal = reinterpret_cast<Ints>(__builtin_convertvector(magnitude, Floats) * 0x1p-24f);
  const Ints is_subnormal = magnitude < 0x400;
  return reinterpret_cast<Floats>((subnormal & is_subnormal) | (normal & ~is_subnormal) | (bits & 0x8000) << 16);
#endif
}

// Rounds to the nearest number, ties to even; from 65520 on to infinity. NaN stays NaN.
SHARED_CODE Halves to_halves(Floats x) {
#if LANES == 16
  return reinterpret_cast<Halves>(_mm512_cvtps_ph(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT));
#elif LANES == 8
  return reinterpret_cast<Halves>(_mm256_cvtps_ph(reinterpret_cast<__m256>(x), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__aarch64__)
  return reinterpret_cast<Halves>(vcvt_f16_f32(reinterpret_cast<float32x4_t>(x)));
#else
  const Ints bits = reinterpret_cast<Ints>(x);
  const Ints magnitude = bits & 0x7fffffff;
  // Adds half of the last digit that remains, less one where that digit is even, and removes the 13 digits after it.
  Ints rounded = (magnitude - (112 << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  rounded = rounded < 0x7c00 ? rounded : splat(0x7c00);
  // The sum with 0.5 has a subnormal number, rounded to a multiple of 2^-24, in its last bits.
  const Ints subnormal = reinterpret_cast<Ints>(reinterpret_cast<Floats>(magnitude) + 0.5f) - 0x3f000000;
  rounded = magnitude < 0x38800000 ? subnormal : rounded;
  rounded = magnitude > 0x7f800000 ? splat(0x7e00) : rounded;
  return __builtin_convertvector(rounded | ((bits >> 16) & 0x8000), Halves);
#endif
}

inline Halves load_halves(const uint16_t* p) { return *reinterpret_cast<const UnalignedHalves*>(p); }
inline void store_halves(uint16_t* p, Halves x) { *reinterpret_cast<UnalignedHalves*>(p) = x; }

// A vector of weights of a float panel, of either type.
inline Floats load_columns(const float* p) { return load(p); }
inline Floats load_columns(const uint16_t* p) { return to_floats(load_halves(p)); }

#ifndef SHARED_FLOAT
void halves_to_floats(const uint16_t* from, size_t count, float* to) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) store(to + i, to_floats(load_halves(from + i)));
  if (i == count) return;
  uint16_t last[LANES] = {};
  float converted[LANES];
  for (size_t j = i; j < count; j++) last[j - i] = from[j];
  store(converted, to_floats(load_halves(last)));
  for (size_t j = i; j < count; j++) to[j] = converted[j - i];
}

void floats_to_halves(const float* from, size_t count, uint16_t* to) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) store_halves(to + i, to_halves(load(from + i)));
  if (i == count) return;
  float last[LANES] = {};
  uint16_t converted[LANES];
  for (size_t j = i; j < count; j++) last[j - i] = from[j];
  store_halves(converted, to_halves(load(last)));
  for (size_t j = i; j < count; j++) to[j] = converted[j - i];
}
#endif

}  // namespace
