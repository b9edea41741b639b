// Emulates instructions that this machine lacks, so that tests can run the kernels that use them: AMX's tiles one byte
// at a time, and AVX-VNNI's product by the instruction of AVX-512 VNNI. Included before a kernel's source.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace stand_in {

struct Tile {
  int rows = 0, bytes = 0;
  alignas(64) int8_t data[16][64] = {};
};
static thread_local Tile tiles[8];

static inline void loadconfig(const void* configuration) {
  const uint8_t* from = static_cast<const uint8_t*>(configuration);
  for (int i = 0; i < 8; i++) {
    uint16_t bytes;
    memcpy(&bytes, from + 16 + 2 * i, 2);
    tiles[i] = Tile();
    tiles[i].bytes = bytes;
    tiles[i].rows = from[48 + i];
  }
}

static inline void zero(int tile) { memset(tiles[tile].data, 0, sizeof tiles[tile].data); }

static inline void loadd(int tile, const void* from, size_t stride) {
  zero(tile);
  for (int row = 0; row < tiles[tile].rows; row++)
    memcpy(tiles[tile].data[row], static_cast<const int8_t*>(from) + row * stride, tiles[tile].bytes);
}

static inline void stored(int tile, void* to, size_t stride) {
  for (int row = 0; row < tiles[tile].rows; row++)
    memcpy(static_cast<int8_t*>(to) + row * stride, tiles[tile].data[row], tiles[tile].bytes);
}

static inline void dpbssd(int sums, int a, int b) {
  for (int m = 0; m < tiles[sums].rows; m++)
    for (int n = 0; n < tiles[sums].bytes / 4; n++) {
      int32_t sum;
      memcpy(&sum, tiles[sums].data[m] + 4 * n, 4);
      for (int k = 0; k < tiles[a].bytes; k++) sum += tiles[a].data[m][k] * tiles[b].data[k / 4][4 * n + k % 4];
      memcpy(tiles[sums].data[m] + 4 * n, &sum, 4);
    }
}

}  // namespace stand_in

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#define _tile_loadconfig stand_in::loadconfig
#define _tile_release() ((void)0)
#define _tile_zero stand_in::zero
#define _tile_loadd stand_in::loadd
#define _tile_stored stand_in::stored
#define _tile_dpbssd stand_in::dpbssd
#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
