#include "standalone/operators/standard/packed_product.h"

#include "blocks/product.h"
#include "operators/isa_selection.h"
#include "standalone/host/workers.h"
#include "standalone/operators/standard/movement.h"

namespace mbert {

namespace {

// The rows of a task: its weights are read once for all of them.
constexpr int64_t TASK_ROWS = 64;

// The largest k. In 8 bits, sums of as many products are whole numbers in float32.
constexpr int64_t MAX_K = 65536, MAX_K_INT8 = 1024, MAX_N = 1 << 20;

// Runs a task for each TASK_ROWS of m rows.
void run_tasks(void (*task)(void*, size_t), int64_t m, void* data, int threads) {
  run_on_workers(task, static_cast<size_t>((m + TASK_ROWS - 1) / TASK_ROWS), data, threads);
}

int task_rows(int64_t m, int64_t first) { return static_cast<int>(m - first < TASK_ROWS ? m - first : TASK_ROWS); }

// Packs a weight [k, n] in row-major order.
void pack(const PackedWeight& packed, const void* ordered) {
  const Isa& isa = *packed.isa;
  const int k = packed.weight.k, n = packed.weight.n;
  if (packed.precision == Precision::INT8)
    isa.pack_int8(static_cast<const int8_t*>(ordered), k, n, packed.weight.panels);
  else if (packed.precision == Precision::HALF)
    isa.pack_half(static_cast<const uint16_t*>(ordered), k, n, packed.weight.panels);
  else
    isa.pack_float(static_cast<const float*>(ordered), k, n, packed.weight.panels);
}

Status fill(const Tensor& given, bool is_transposed, PackedWeight* packed) {
  const bool is_int8 = given.type == INT8;
  packed->precision = is_int8 ? Precision::INT8 : given.type == FLOAT16 ? Precision::HALF : Precision::FLOAT;
  const int64_t k = given.sizes[is_transposed], n = given.sizes[!is_transposed];
  packed->k = k;
  packed->weight.k = static_cast<int>(k + is_int8);
  packed->weight.n = static_cast<int>(n);
  // In row-major order, and aligned, which numbers in the file may not be.
  const size_t element = element_bytes(given.type), bytes = static_cast<size_t>(packed->weight.k * n) * element;
  char *panels = nullptr, *ordered = nullptr;
  TRY(allocate_array(packed->isa->packed_bytes(packed->precision, packed->weight.k, packed->weight.n), &panels));
  packed->weight.panels = panels;
  if (is_int8) {
    const size_t columns = static_cast<size_t>(round_up(packed->weight.n, packed->isa->panel_int8));
    TRY(allocate_array(columns, &packed->sums));
    TRY(allocate_array(columns, &packed->weight.scales));
    for (size_t i = 0; i < columns; i++) packed->weight.scales[i] = 1.0f, packed->sums[i] = 0;
    for (int64_t i = 0; i < k * n; i++) packed->sums[i % n] += static_cast<const int8_t*>(given.data)[i];
  }
  TRY(allocate_array(bytes, &ordered));
  __builtin_memset(ordered, 0, bytes);
  if (is_transposed)
    transpose_elements(given.data, static_cast<size_t>(n), static_cast<size_t>(k), element, ordered);
  else
    __builtin_memcpy(ordered, given.data, static_cast<size_t>(k * n) * element);
  pack(*packed, ordered);
  release_memory(ordered);
  return nullptr;
}

}  // namespace

Status pack_weight(const Tensor& given, bool is_transposed, PackedWeight** packed) {
  if (given.rank != 2 || !is_in(given.type, type_bit(FLOAT) | type_bit(FLOAT16) | type_bit(INT8)) || given.sizes[0] < 1 ||
      given.sizes[1] < 1 || given.sizes[is_transposed] > (given.type == INT8 ? MAX_K_INT8 : MAX_K) ||
      given.sizes[!is_transposed] > MAX_N)
    return fail(failure() << "its weight is " << given << "; expected a matrix of float, float16 or int8 that is not too large"
                          << ADVICE);
  Message why_not;
  TRY(allocate_array(1, packed));
  **packed = {chosen_isa(&why_not), Precision::FLOAT, 0, {}, nullptr};
  return (*packed)->isa ? fill(given, is_transposed, *packed) : fail(why_not);
}

Status pack_weight(Loading& node, bool is_transposed) {
  if (!node.is_constant(1)) return fail(failure() << "its weight is not a constant; expected one" << ADVICE);
  PackedWeight* packed = nullptr;
  node.is_packed[1] = true;
  const Status status = pack_weight(node.input(1).tensor, is_transposed, &packed);
  node.node.state = packed;
  return status;
}

void release_weight(PackedWeight* packed) {
  if (!packed) return;
  release_memory(packed->weight.panels);
  release_memory(packed->weight.scales);
  release_memory(packed->sums);
  release_memory(packed);
}

void Product::run(int threads) {
  const auto task = [](void* data, size_t number) {
    const Product& own = *static_cast<const Product*>(data);
    const Weight& weight = own.packed.weight;
    const int64_t first = static_cast<int64_t>(number) * TASK_ROWS;
    float* y = own.y + first * weight.n;
    // Each product reads a number of its residual before it replaces it.
    product(*own.packed.isa, own.packed.precision, own.x + first * weight.k, weight.k, task_rows(own.m, first), weight, {},
            {y, weight.n, false, own.adds ? y : nullptr, weight.n});
  };
  run_tasks(task, m, this, threads);
}

namespace {

struct IntegerProduct {
  const PackedWeight& packed;
  const uint8_t* x;
  int32_t* y;
  int64_t zero_point, m;
  char* scratch;
  size_t scratch_bytes;
};

// Kernels take activations of −127 to 127 in rows with a step that they find. So an activation is x − 128, where −128 is
// −127 and −1 in a second row that is added, and each row has a number 127 more, whose weights are 0: its step is 1.
void multiply_task(void* data, size_t number) {
  const IntegerProduct& own = *static_cast<const IntegerProduct*>(data);
  const PackedWeight& packed = own.packed;
  const Weight& weight = packed.weight;
  const int64_t first = static_cast<int64_t>(number) * TASK_ROWS, n = weight.n;
  const int count = task_rows(own.m, first);
  Scratch scratch(own.scratch + number * own.scratch_bytes);
  float* rows = scratch.take<float>(static_cast<size_t>(count) * weight.k);
  float* y = scratch.take<float>(static_cast<size_t>(count * n));
  const Quantized quantized = take_quantized(scratch, count, weight.k);
  const uint8_t* x = own.x + first * packed.k;
  bool has_rest = true;
  for (int part = 0; part < 2 && has_rest; part++) {
    has_rest = false;
    for (int64_t row = 0; row < count; row++) {
      float* to = rows + row * weight.k;
      for (int64_t i = 0; i < packed.k; i++) {
        const int activation = x[row * packed.k + i];
        has_rest = has_rest || activation == 0;
        to[i] = static_cast<float>(part ? (activation ? 0 : -1) : activation ? activation - 128 : -127);
      }
      to[packed.k] = 127.0f;
    }
    product(*packed.isa, Precision::INT8, rows, weight.k, count, weight, quantized,
            {y, weight.n, false, part ? y : nullptr, weight.n});
  }
  const int32_t shift = static_cast<int32_t>(128 - own.zero_point);
  int32_t* to = own.y + first * n;
  for (int64_t row = 0; row < count; row++, y += n, to += n)
    for (int64_t i = 0; i < n; i++) to[i] = static_cast<int32_t>(y[i]) + shift * packed.sums[i];
}

}  // namespace

Status multiply_integers(const PackedWeight& packed, const uint8_t* x, int64_t zero_point, int64_t m, int threads, int32_t* y) {
  const int rows = task_rows(m, 0), k = packed.weight.k;
  const size_t bytes = float_bytes(rows, k) + float_bytes(rows, packed.weight.n) + quantized_bytes(rows, k);
  const size_t tasks = static_cast<size_t>((m + TASK_ROWS - 1) / TASK_ROWS);
  IntegerProduct product{packed, x, y, zero_point, m, nullptr, bytes};
  TRY(allocate_elements(tasks, bytes, reinterpret_cast<void**>(&product.scratch)));
  run_tasks(multiply_task, m, &product, threads);
  release_memory(product.scratch);
  return nullptr;
}

}  // namespace mbert
