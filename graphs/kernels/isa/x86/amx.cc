// AMX: one instruction multiplies a tile of 16 rows of 64 bytes by one of 16 columns. Everything else is AVX-512.
#define INT8_ROWS 6
#define INT8_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define DEPTH 64
#define CUSTOM_MULTIPLY_INT8
#define SHARED_FLOAT avx512

#include "isa/x86/avx512.h"
#include "isa/processor.h"
#include "isa/vectors.h"

#include "isa/compute.h"

namespace {

constexpr int TILE = 16;  // rows of a tile register, and its columns of four bytes

// The tile configuration: 0 to 3 are accumulators, 4 and 5 hold rows, 6 and 7 columns. A tile of fewer rows takes less
// time.
struct alignas(64) Configuration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {};

  explicit Configuration(int count) {
    for (int tile = 0; tile < 8; tile++) rows[tile] = static_cast<uint8_t>(tile < 6 && count < TILE ? count : TILE);
  }
};

// The accumulators of at most 32 rows by a panel, as tiles are spilled to memory.
struct SpilledSums {
  int32_t rows[2 * TILE][INT8_PANEL];
};

// Multiplies 32 rows by a panel, half of its columns at a time. FIRST: the first rows prefetch the next panel.
template <bool FIRST>
inline void two_tiles(const int8_t* a, size_t stride, const int8_t* w, int k, SpilledSums& sums) {
  for (int half = 0; half < 2; half++) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const int8_t* columns = w + half * 128;
    for (int step = 0; step < k; step += DEPTH, columns += DEPTH * INT8_PANEL) {
      if (FIRST && half == 0) fetch_ahead<DEPTH * INT8_PANEL, INT8_AHEAD>(columns);
      _tile_loadd(6, columns, 4 * INT8_PANEL);
      _tile_loadd(7, columns + 64, 4 * INT8_PANEL);
      _tile_loadd(4, a + step, stride);
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_loadd(5, a + TILE * stride + step, stride);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
    int32_t* to = sums.rows[0] + half * 32;
    _tile_stored(0, to, 4 * INT8_PANEL);
    _tile_stored(1, to + TILE, 4 * INT8_PANEL);
    _tile_stored(2, to + TILE * INT8_PANEL, 4 * INT8_PANEL);
    _tile_stored(3, to + TILE * INT8_PANEL + TILE, 4 * INT8_PANEL);
  }
}

// Multiplies 16 rows or fewer by a panel.
template <bool FIRST>
inline void one_tile(const int8_t* a, size_t stride, const int8_t* w, int k, SpilledSums& sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int step = 0; step < k; step += DEPTH, w += DEPTH * INT8_PANEL) {
    if (FIRST) fetch_ahead<DEPTH * INT8_PANEL, INT8_AHEAD>(w);
    _tile_loadd(4, a + step, stride);
    _tile_loadd(6, w, 4 * INT8_PANEL);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + 64, 4 * INT8_PANEL);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(6, w + 128, 4 * INT8_PANEL);
    _tile_dpbssd(2, 4, 6);
    _tile_loadd(7, w + 192, 4 * INT8_PANEL);
    _tile_dpbssd(3, 4, 7);
  }
  _tile_stored(0, sums.rows[0], 4 * INT8_PANEL);
  _tile_stored(1, sums.rows[0] + TILE, 4 * INT8_PANEL);
  _tile_stored(2, sums.rows[0] + 2 * TILE, 4 * INT8_PANEL);
  _tile_stored(3, sums.rows[0] + 3 * TILE, 4 * INT8_PANEL);
}

// The epilogue's input: accumulators loaded from where tiles were spilled.
struct Spilled {
  static constexpr int PANEL = INT8_PANEL;

  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const SpilledSums& from = *static_cast<const SpilledSums*>(rows.data);
    Ints sums[ROWS][INT8_VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < INT8_VECTORS; v++)
        sums[i][v] = reinterpret_cast<Ints>(load_bytes(from.rows[first + i] + v * LANES));
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }
};

// The epilogue of `count` rows from `start` on, the same code as with every other instruction set.
inline void epilogue_rows(const SpilledSums& sums, const Rows& rows, int start, int count, const Weight& weight,
                          int column, const Output& output) {
  constexpr int AT_ONCE = 4;
  const Rows spilled{&sums, INT8_PANEL, rows.steps + start, nullptr};
  Output to = output;
  to.data += static_cast<size_t>(start) * to.stride;
  if (to.residual) to.residual += static_cast<size_t>(start) * to.residual_stride;
  int first = 0;
  for (; first + AT_ONCE <= count; first += AT_ONCE)
    compute_tile<Spilled, AT_ONCE, false>(spilled, first, weight, column, to);
  remainder_rows<Spilled, AT_ONCE - 1>(spilled, first, count - first, weight, column, to);
}

void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  const Configuration configuration(count);
  _tile_loadconfig(&configuration);
  const int k = round_up(weight.k, DEPTH);
  const size_t stride = rows.stride;
  alignas(64) SpilledSums sums;
  for (int column = 0; column < weight.n; column += INT8_PANEL) {
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    int first = 0;
    // Tiles may read rows beyond `count` (see ROWS_AT_ONCE); the epilogue does not store them.
    for (; count - first > TILE; first += 2 * TILE) {
      const int8_t* a = static_cast<const int8_t*>(rows.data) + first * stride;
      first ? two_tiles<false>(a, stride, w, k, sums) : two_tiles<true>(a, stride, w, k, sums);
      epilogue_rows(sums, rows, first, count - first < 2 * TILE ? count - first : 2 * TILE, weight, column, output);
    }
    if (first < count) {
      const int8_t* a = static_cast<const int8_t*>(rows.data) + first * stride;
      first ? one_tile<false>(a, stride, w, k, sums) : one_tile<true>(a, stride, w, k, sums);
      epilogue_rows(sums, rows, first, count - first, weight, column, output);
    }
  }
  _tile_release();
}

#ifdef MBERT_PROFILE
int64_t peak_int8(int64_t times) {
  const Configuration configuration(TILE);
  _tile_loadconfig(&configuration);
  for (int64_t time = 0; time < times; time++) {
    __asm__ volatile("" : : : "memory");
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return 4 * TILE * TILE * DEPTH;
}
#endif

}  // namespace

MBERT_ISA(isa_amx, "amx", mbert::has_amx)
