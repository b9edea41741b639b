// Transposition, in squares of LANES by LANES floats, and one by one at the edges.
#pragma once

#include "isa/vectors.h"

namespace {

void transpose(const float* from, int from_stride, int rows, int columns, float* to, int to_stride) {
  const auto in = [=](int i, int j) { return from + static_cast<size_t>(i) * from_stride + j; };
  const auto out = [=](int i, int j) { return to + static_cast<size_t>(j) * to_stride + i; };
  int i = 0;
  for (; i + LANES <= rows; i += LANES) {
    int j = 0;
    for (; j + LANES <= columns; j += LANES) {
      Floats block[LANES];
      for (int k = 0; k < LANES; k++) block[k] = load(in(i + k, j));
      transpose(block);
      for (int k = 0; k < LANES; k++) store(out(i, j + k), block[k]);
    }
    for (; j < columns; j++)
      for (int k = 0; k < LANES; k++) *out(i + k, j) = *in(i + k, j);
  }
  for (; i < rows; i++)
    for (int j = 0; j < columns; j++) *out(i, j) = *in(i, j);
}

}  // namespace
