// Peak rates, for the profiling program only: loops of multiply-accumulates whose operands stay in registers.
#pragma once

#include "isa/compute/tile.h"

#ifdef MBERT_PROFILE
namespace {

// Keeps accumulators alive, so that the loop that computes them is not removed. It copies them: an array whose address
// is taken does not stay in registers.
template <class Vector, int ROWS, int COUNT>
inline void keep_alive(const Vector (&sums)[ROWS][COUNT]) {
  Vector kept[ROWS][COUNT];
  for (int i = 0; i < ROWS; i++)
    UNROLLED for (int v = 0; v < COUNT; v++) kept[i][v] = sums[i][v];
  __asm__ volatile("" : : "r"(kept) : "memory");
}

// Runs `add` on SUMS independent accumulators, `times` times.
template <int SUMS, class Vector, class Add>
inline void add_times(int64_t times, Add add) {
  Vector sums[SUMS] = {}, kept[SUMS];
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : : "memory");
    UNROLLED for (int i = 0; i < SUMS; i++) sums[i] = add(sums[i]);
  }
  UNROLLED for (int i = 0; i < SUMS; i++) kept[i] = sums[i];
  __asm__ volatile("" : : "r"(kept) : "memory");
}

#ifndef CUSTOM_MULTIPLY_INT8
int64_t peak_int8(int64_t times) {
  Ints sums[INT8_ROWS][INT8_VECTORS] = {};
  alignas(64) int8_t numbers[4 * INT8_ROWS] = {1};
  alignas(64) int8_t weights[INT8_VECTORS][4 * LANES] = {};
  __asm__ volatile("" : : "r"(weights) : "memory");  // equal columns would be multiplied only once
  Prepared columns[INT8_VECTORS];
  for (int v = 0; v < INT8_VECTORS; v++) columns[v] = prepare(load_bytes(weights[v]));
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : "r"(numbers) : "memory");
    for (int i = 0; i < INT8_ROWS; i++) {
      const Quad quad = splat_quad(numbers + 4 * i);  // equal rows would be multiplied only once
      UNROLLED for (int v = 0; v < INT8_VECTORS; v++) sums[i][v] = dot(sums[i][v], columns[v], quad);
    }
  }
  keep_alive(sums);
  return static_cast<int64_t>(INT8_ROWS) * INT8_VECTORS * LANES * 4;
}
#endif

int64_t peak_float(int64_t times) {
  Floats sums[FLOAT_ROWS][FLOAT_VECTORS] = {}, columns[FLOAT_VECTORS] = {};
  alignas(64) float numbers[LANES] = {1};
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : "r"(numbers) : "memory");
    const Floats x = splat(numbers[0]);
    for (int i = 0; i < FLOAT_ROWS; i++)
      UNROLLED for (int v = 0; v < FLOAT_VECTORS; v++) sums[i][v] = fma(x, columns[v], sums[i][v]);
  }
  keep_alive(sums);
  return static_cast<int64_t>(FLOAT_ROWS) * FLOAT_VECTORS * LANES;
}

}  // namespace
#endif
