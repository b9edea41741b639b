// AMX: one instruction multiplies a tile of 16 rows of 64 bytes by one of 16 columns. Everything else is AVX-512.
#define INT8_ROWS 6
#define INT8_VECTORS 4
#define UNSIGNED_WEIGHTS false
#define DEPTH 64
#define CUSTOM_MULTIPLY_INT8
#define SHARED_FLOAT avx512

#include "isa/x86/avx512.h"

// Products of attention have 24 rows or fewer, a k of a head's 32 channels or of the tokens, and columns of the tokens or
// the head's channels. In cycles, for 8 rows of 8 tokens, each of the two products takes 64 with AVX-512 VNNI (128
// instructions of two a cycle, for 32 columns by 32), and with tiles at least 120 of latencies (a load, a product and a
// store, 45 + 52 + 16), and the tiles' configuration; softmax reads 64 columns in place of 32. For 24 rows of 64 tokens
// both products take 770 with VNNI; with tiles 500, two configurations, and another load for each vector. For 128 tokens
// it is 1,540 against about 700.
namespace mbert {
extern const Isa isa_avx512_vnni;
}
#define SHORT_ATTENTION &isa_avx512_vnni

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

// Products are computed in units: 32 rows by half a panel, or at most 16 rows by a panel. Both have four tiles of
// accumulators, which are stored to memory for the epilogue.
struct Unit {
  int first = 0, count = 0, column = 0;
  int stride = 0;  // columns: 2 or 4 tiles
};
constexpr int SUMS = 4 * TILE * TILE;

inline void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Multiplies 32 rows by half a panel. FETCH: prefetches the next panel.
template <bool FETCH>
inline void two_by_two(const int8_t* a, size_t stride, const int8_t* w, int k) {
  zero_sums();
  for (int step = 0; step < k; step += DEPTH, w += DEPTH * INT8_PANEL) {
    if (FETCH) fetch_ahead<DEPTH * INT8_PANEL, INT8_AHEAD>(w);
    _tile_loadd(6, w, 4 * INT8_PANEL);
    _tile_loadd(4, a + step, stride);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + 64, 4 * INT8_PANEL);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(5, a + TILE * stride + step, stride);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
}

inline void store_two_by_two(int32_t* sums) {
  constexpr int STRIDE = 2 * TILE;
  _tile_stored(0, sums, 4 * STRIDE);
  _tile_stored(1, sums + TILE, 4 * STRIDE);
  _tile_stored(2, sums + TILE * STRIDE, 4 * STRIDE);
  _tile_stored(3, sums + TILE * STRIDE + TILE, 4 * STRIDE);
}

// Multiplies 16 rows or fewer by a panel.
template <bool FETCH>
inline void one_by_four(const int8_t* a, size_t stride, const int8_t* w, int k) {
  zero_sums();
  for (int step = 0; step < k; step += DEPTH, w += DEPTH * INT8_PANEL) {
    if (FETCH) fetch_ahead<DEPTH * INT8_PANEL, INT8_AHEAD>(w);
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
}

inline void store_one_by_four(int32_t* sums) {
  constexpr int STRIDE = 4 * TILE;
  _tile_stored(0, sums, 4 * STRIDE);
  _tile_stored(1, sums + TILE, 4 * STRIDE);
  _tile_stored(2, sums + 2 * TILE, 4 * STRIDE);
  _tile_stored(3, sums + 3 * TILE, 4 * STRIDE);
}

// The epilogue's input: accumulators loaded from where tiles were stored, VECTORS vectors of columns.
template <int VECTORS>
struct Stored {
  static constexpr int PANEL = VECTORS * LANES, TILE_ROWS = 16 / VECTORS;

  template <int ROWS, bool FETCH>
  static inline void tile(const Rows& rows, int first, const Weight& weight, int column, bool has_relu,
                          const TileOutput& output) {
    const int32_t* from = static_cast<const int32_t*>(rows.data) + first * PANEL;
    Ints sums[ROWS][VECTORS];
    UNROLLED for (int i = 0; i < ROWS; i++)
      UNROLLED for (int v = 0; v < VECTORS; v++)
        sums[i][v] = reinterpret_cast<Ints>(load_bytes(from + i * PANEL + v * LANES));
    add_starts(sums, weight, column);
    epilogue_int8(sums, rows, first, weight, column, has_relu, output);
  }
};

// The epilogue of a unit, the same code as with every other instruction set.
template <int VECTORS>
inline void finish(const int32_t* sums, const Unit& unit, const Rows& rows, const Weight& weight,
                   const Output& output) {
  const Rows stored{sums, VECTORS * LANES, rows.steps + unit.first, nullptr};
  Output to = output;
  to.data += static_cast<size_t>(unit.first) * to.stride;
  if (to.residual) to.residual += static_cast<size_t>(unit.first) * to.residual_stride;
  using Kind = Stored<VECTORS>;
  for (int first = 0; first < unit.count; first += Kind::TILE_ROWS) {
    const int count = unit.count - first < Kind::TILE_ROWS ? unit.count - first : Kind::TILE_ROWS;
    compute_tile<Kind>(TILES<Kind>.of_rows[count], count, stored, first, weight, unit.column, to);
  }
}

// The unit of tiles and the vector units work at the same time: while the products of a unit are computed, the epilogue
// of the unit before it runs. In the order of the program, the products of a unit are followed by the epilogue of the
// unit before it, from memory, and then by the stores of the products. The products of a unit are 2 to 9 dozen
// instructions, and an epilogue about 450: both fit the processor's window of 512, so it overlaps them.
//
// In cycles, for 32 rows by 32 columns and a k of 128, with throughputs of 16 for _tile_dpbssd and _tile_stored and of 8
// for _tile_loadd: 8 products take 128 on the tile unit; their 8 loads take 64, and 4 stores 64, on ports for memory;
// the epilogue's 64 vectors of 5 operations take 160 on the two vector ports. Latencies (45 of the first load, 52 of the
// last product) included, one after the other is about 450, and both at the same time at most 200. With a k of 512, 512
// cycles of products hide the whole epilogue: 830 becomes 512.
void multiply_int8(const Rows& rows, int count, const Weight& weight, const Output& output) {
  const Configuration configuration(count);
  _tile_loadconfig(&configuration);
  const int k = round_up(weight.k, DEPTH);
  const size_t stride = rows.stride;
  alignas(64) int32_t sums[SUMS];
  Unit before;
  const auto finish_before = [&] {
    if (before.stride == 2 * TILE) finish<2>(sums, before, rows, weight, output);
    if (before.stride == 4 * TILE) finish<4>(sums, before, rows, weight, output);
  };
  for (int column = 0; column < weight.n; column += INT8_PANEL) {
    const int8_t* w = static_cast<const int8_t*>(weight.panels) + static_cast<size_t>(column) * k;
    // Tiles may read rows beyond `count` (see ROWS_AT_ONCE); the epilogue does not store them.
    for (int first = 0; first < count; first += 2 * TILE) {
      const int8_t* a = static_cast<const int8_t*>(rows.data) + first * stride;
      const int left = count - first;
      if (left <= TILE) {
        first ? one_by_four<false>(a, stride, w, k) : one_by_four<true>(a, stride, w, k);
        finish_before();
        store_one_by_four(sums);
        before = {first, left, column, 4 * TILE};
        continue;
      }
      for (int half = 0; half < INT8_PANEL && column + half < weight.n; half += 2 * TILE) {
        first || half ? two_by_two<false>(a, stride, w + 4 * half, k) : two_by_two<true>(a, stride, w, k);
        finish_before();
        store_two_by_two(sums);
        before = {first, left < 2 * TILE ? left : 2 * TILE, column + half, 2 * TILE};
      }
    }
  }
  finish_before();
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
