// Packing: weights [k, n] in row-major order become panels, as wide as a tile, padded with zeros.
#pragma once

#include "isa/compute/tile.h"

namespace {

// Whether the columns of the two vectors of a panel are interleaved: see INTERLEAVES in compute.h.
#ifdef INTERLEAVES
#define INTERLEAVED_COLUMNS (INTERLEAVES)
#else
#define INTERLEAVED_COLUMNS false
#endif

// The offset, within GROUP rows of a panel, of the weight in a column and in the i-th of these rows.
inline int packed_offset(int column, int i) {
#ifdef PAIRED_WEIGHTS
  return column / LANES * 4 * LANES + i / 2 * 2 * LANES + column % LANES * 2 + i % 2;
#else
  if (INTERLEAVED_COLUMNS) return i / 2 * 2 * INT8_PANEL + column % LANES * 4 + i % 2 * 2 + column / LANES;
  return column * GROUP + i;
#endif
}

// The byte that is stored for a weight of a column: where columns are interleaved, those of the first vector are unsigned.
inline int8_t packed_byte(int8_t weight, int column) {
  return INTERLEAVED_COLUMNS && column < LANES ? static_cast<int8_t>(weight + 128) : weight;
}

// Interleaves the columns of groups of GROUP rows of a panel, in place; they were packed as if that were not asked for.
inline void interleave_columns(int8_t* groups, int count) {
#ifdef INTERLEAVES
  for (; count; count--, groups += GROUP * INT8_PANEL) {
    UnalignedBytes* to = reinterpret_cast<UnalignedBytes*>(groups);
    const Bytes first = to[0] + static_cast<int8_t>(-128), second = to[1];
    to[0] = __builtin_shufflevector(first, second, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    to[1] = __builtin_shufflevector(first, second, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
#else
  (void)groups, (void)count;
#endif
}

// Stores GROUP weights of one column.
inline void store_group(int8_t* panel, int column, const int8_t* weights) {
#if defined(PAIRED_WEIGHTS) || defined(INTERLEAVES)
  for (int i = 0; i < GROUP; i++) panel[packed_offset(column, i)] = packed_byte(weights[i], column);
#else
  __builtin_memcpy(panel + packed_offset(column, 0), weights, GROUP);
#endif
}

void pack_int8(const int8_t* weight, int k, int n, void* panels) {
  int8_t* to = static_cast<int8_t*>(panels);
  for (int column = 0; column < n; column += INT8_PANEL)
    for (int row = 0; row < round_up(k, DEPTH); row += GROUP, to += GROUP * INT8_PANEL)
      for (int j = 0; j < INT8_PANEL; j++)
        for (int i = 0; i < GROUP; i++) {
          const bool in_range = row + i < k && column + j < n;
          const int8_t number = in_range ? weight[static_cast<size_t>(row + i) * n + column + j] : 0;
#ifdef PAIRED_WEIGHTS
          to[packed_offset(j, i)] = static_cast<int8_t>(number + SHIFT);
#else
          to[j * GROUP + i] = static_cast<int8_t>(number + SHIFT);
#endif
        }
  // All at once: a branch for each byte takes longer than the rest.
  if (INTERLEAVED_COLUMNS) {
    int8_t* begin = static_cast<int8_t*>(panels);
    interleave_columns(begin, static_cast<int>((to - begin) / (GROUP * INT8_PANEL)));
  }
}

#ifndef SHARED_FLOAT
// Element: float, or uint16_t for the bits of float16, in which 0 is 0, too.
template <class Element>
void pack_floats(const Element* weight, int k, int n, void* panels) {
  Element* to = static_cast<Element*>(panels);
  for (int column = 0; column < n; column += FLOAT_PANEL)
    for (int i = 0; i < k; i++)
      for (int j = column; j < column + FLOAT_PANEL; j++)
        *to++ = j < n ? weight[static_cast<size_t>(i) * n + j] : Element{};
}

void pack_float(const float* weight, int k, int n, void* panels) { pack_floats(weight, k, n, panels); }
void pack_half(const uint16_t* weight, int k, int n, void* panels) { pack_floats(weight, k, n, panels); }
#endif

}  // namespace
