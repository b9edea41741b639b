#include "standalone/operators/standard/products.h"

#include "operators/isa_selection.h"
#include "operators/node.h"
#include "standalone/host/workers.h"
#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

enum GemmAttribute { ALPHA, BETA, TRANS_A, TRANS_B };

// The rows of a task: its weights are read once for all of them.
constexpr int64_t TASK_ROWS = 64;

// A constant weight [k, n] as the kernels' products read it.
struct PackedWeight {
  const Isa* isa;
  Precision precision;
  Weight weight;
};

// A matrix product x [m, k] · weight [k, n], whose rows are computed in tasks.
struct Product {
  const PackedWeight& packed;
  const float* x;
  float* y;
  const float* residual;  // [m, n], or null
  int64_t m;

  static void task(void* data, size_t number) {
    const Product& own = *static_cast<const Product*>(data);
    const Weight& weight = own.packed.weight;
    const int64_t first = static_cast<int64_t>(number) * TASK_ROWS;
    const int rows = static_cast<int>(own.m - first < TASK_ROWS ? own.m - first : TASK_ROWS);
    const auto multiply =
        own.packed.precision == Precision::HALF ? own.packed.isa->multiply_half : own.packed.isa->multiply_float;
    const float* residual = own.residual ? own.residual + first * weight.n : nullptr;
    multiply({own.x + first * weight.k, weight.k, nullptr, nullptr}, rows, weight,
             {own.y + first * weight.n, weight.n, false, residual, weight.n});
  }

  void run(int threads) {
    run_on_workers(task, static_cast<size_t>((m + TASK_ROWS - 1) / TASK_ROWS), this, threads);
  }
};

// Copies a matrix [rows, columns] to [columns, rows].
template <class Element>
void transpose(const Element* from, int64_t rows, int64_t columns, Element* to) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
}

Status pack(const Tensor& given, bool is_transposed, PackedWeight* packed) {
  const int64_t k = given.sizes[is_transposed], n = given.sizes[!is_transposed];
  const size_t bytes = tensor_bytes(given);
  packed->precision = given.type == FLOAT16 ? Precision::HALF : Precision::FLOAT;
  packed->weight.k = static_cast<int>(k);
  packed->weight.n = static_cast<int>(n);
  char *panels = nullptr, *matrix = nullptr;
  TRY(allocate_array(packed->isa->packed_bytes(packed->precision, packed->weight.k, packed->weight.n), &panels));
  packed->weight.panels = panels;
  // In row-major order, and aligned, which numbers in the file may not be.
  TRY(allocate_array(2 * bytes, &matrix));
  __builtin_memcpy(matrix, given.data, bytes);
  if (is_transposed && packed->precision == Precision::HALF)
    transpose(reinterpret_cast<const uint16_t*>(matrix), n, k, reinterpret_cast<uint16_t*>(matrix + bytes));
  else if (is_transposed)
    transpose(reinterpret_cast<const float*>(matrix), n, k, reinterpret_cast<float*>(matrix + bytes));
  const void* const ordered = is_transposed ? matrix + bytes : matrix;
  if (packed->precision == Precision::HALF)
    packed->isa->pack_half(static_cast<const uint16_t*>(ordered), packed->weight.k, packed->weight.n, panels);
  else
    packed->isa->pack_float(static_cast<const float*>(ordered), packed->weight.k, packed->weight.n, panels);
  release_memory(matrix);
  return nullptr;
}

// The numbers of a tensor in float32: itself, or a copy.
class Floats32 {
 public:
  ~Floats32() { release_memory(copy_); }
  Status load(const Tensor& tensor, const Isa& isa) {
    data_ = tensor.floats();
    if (tensor.type == FLOAT) return nullptr;
    TRY(allocate_array(tensor.count(), &copy_));
    isa.halves_to_floats(static_cast<const uint16_t*>(tensor.data), tensor.count(), copy_);
    data_ = copy_;
    return nullptr;
  }
  const float* data() const { return data_; }

 private:
  const float* data_ = nullptr;
  float* copy_ = nullptr;
};

// Computes x [m, k] · weight + residual?, of which all are float32 or float16.
Status multiply_packed(const PackedWeight& packed, const Tensor& x, const Tensor* residual, int threads, void* y) {
  Floats32 rows, added;
  float* memory = nullptr;
  TRY(rows.load(x, *packed.isa));
  if (residual) TRY(added.load(*residual, *packed.isa));
  const size_t m = packed.weight.k ? x.count() / static_cast<size_t>(packed.weight.k) : 0;
  const size_t count = m * static_cast<size_t>(packed.weight.n);
  if (x.type == FLOAT16) TRY(allocate_array(count, &memory));
  float* to = memory ? memory : static_cast<float*>(y);
  Product{packed, rows.data(), to, added.data(), static_cast<int64_t>(m)}.run(threads);
  if (memory) packed.isa->floats_to_halves(memory, count, static_cast<uint16_t*>(y));
  release_memory(memory);
  return nullptr;
}

// Computes one product of matrices of any real type, in double. Matrices are in row-major order, or transposed.
void multiply_plain(const double* a, bool is_a_transposed, const double* b, bool is_b_transposed, int64_t m, int64_t k, int64_t n,
                    double* y) {
  for (int64_t i = 0; i < m * n; i++) y[i] = 0.0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < k; j++) {
      const double factor = a[is_a_transposed ? j * m + i : i * k + j];
      if (is_b_transposed)
        for (int64_t column = 0; column < n; column++) y[i * n + column] += factor * b[column * k + j];
      else
        for (int64_t column = 0; column < n; column++) y[i * n + column] += factor * b[j * n + column];
    }
}

Status wrong_shapes(const Tensor& a, const Tensor& b) {
  return fail(Message() << "its inputs are " << a << " and " << b << "; expected matrices whose inner sizes are equal");
}

}  // namespace

Status load_product(Loading& node) {
  constexpr int64_t MAX_SIZE = 1 << 20;
  const bool is_gemm = node.node.standard->run == run_gemm;
  const bool is_transposed = is_gemm && node.node.attributes[TRANS_B];
  if (!node.is_constant(1)) return nullptr;
  const Tensor& given = node.input(1).tensor;
  const bool is_plain = given.rank != 2 || given.type == DOUBLE || given.sizes[0] < 1 || given.sizes[1] < 1 ||
                        given.sizes[0] > MAX_SIZE || given.sizes[1] > MAX_SIZE ||
                        (is_gemm && (node.node.attributes[TRANS_A] || real_attribute(node.node, ALPHA) != 1.0f ||
                                     real_attribute(node.node, BETA) != 1.0f));
  if (is_plain) return nullptr;
  Message why_not;
  PackedWeight* packed = nullptr;
  TRY(allocate_array(1, &packed));
  *packed = {chosen_isa(&why_not), Precision::FLOAT, {}};
  node.node.state = packed;
  if (!packed->isa) return fail(why_not);
  node.is_packed[1] = true;
  return pack(given, is_transposed, packed);
}

void destroy_product(void* state) {
  release_memory(static_cast<PackedWeight*>(state)->weight.panels);
  release_memory(state);
}

Status run_gemm(NodeRun& node) {
  const Tensor& a = node.input(0);
  const PackedWeight* packed = static_cast<const PackedWeight*>(node.node.state);
  const bool is_a_transposed = node.node.attributes[TRANS_A] != 0, is_b_transposed = node.node.attributes[TRANS_B] != 0;
  if (a.rank != 2) return wrong_shapes(a, a);
  const int64_t m = a.sizes[is_a_transposed], k = a.sizes[!is_a_transposed];
  if (packed && k != packed->weight.k)
    return fail(Message() << "its input is " << a << "; expected [rows, " << packed->weight.k << "]");
  if (!packed && (node.input(1).rank != 2 || node.input(1).sizes[is_b_transposed] != k)) return wrong_shapes(a, node.input(1));
  const int64_t n = packed ? packed->weight.n : node.input(1).sizes[!is_b_transposed], sizes[] = {m, n};
  int64_t strides[2] = {};
  if (node.has(2) && !node.input(2).broadcasts_to(sizes, 2, strides))
    return fail(Message() << "C is " << node.input(2) << "; expected what broadcasts to [" << m << ", " << n << "]");
  void* data = nullptr;
  TRY(node.output(0, a.type, sizes, 2, &data));
  if (!data || !m || !n) return nullptr;
  const bool has_residual = node.has(2) && strides[0] == n && strides[1] == 1;
  if (packed && (has_residual || !node.has(2)))
    return multiply_packed(*packed, a, has_residual ? &node.input(2) : nullptr, node.run.model.threads, data);
  // What is added, written out to a whole matrix.
  double *sums = nullptr, *added = nullptr;
  NumberArray c;
  if (node.has(2)) TRY(c.load(node.input(2)));
  if (packed && a.type == FLOAT) {
    float* y = static_cast<float*>(data);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) y[i * n + j] = static_cast<float>(c.reals()[i * strides[0] + j * strides[1]]);
    // Each product reads a number of its residual before it replaces it.
    Product{*packed, a.floats(), y, y, m}.run(node.run.model.threads);
    return nullptr;
  }
  if (packed) {
    Tensor whole;
    uint16_t* halves = nullptr;
    TRY(allocate_array(static_cast<size_t>(m * n), &halves));
    const uint16_t* given = static_cast<const uint16_t*>(node.input(2).data);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) halves[i * n + j] = given[i * strides[0] + j * strides[1]];
    whole.type = FLOAT16;
    whole.rank = 2;
    whole.sizes[0] = m;
    whole.sizes[1] = n;
    whole.data = halves;
    Status status = multiply_packed(*packed, a, &whole, node.run.model.threads, data);
    release_memory(halves);
    return status;
  }
  NumberArray left, right;
  TRY(left.load(a));
  TRY(right.load(node.input(1)));
  TRY(allocate_array(static_cast<size_t>(m * n), &sums));
  multiply_plain(left.reals(), is_a_transposed, right.reals(), is_b_transposed, m, k, n, sums);
  const double alpha = static_cast<double>(real_attribute(node.node, ALPHA)), beta = static_cast<double>(real_attribute(node.node, BETA));
  added = c.reals();
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      sums[i * n + j] = alpha * sums[i * n + j] + (added ? beta * added[i * strides[0] + j * strides[1]] : 0.0);
  store_numbers(a.type, sums, static_cast<int>(m * n), data, 0);
  release_memory(sums);
  return nullptr;
}

namespace {

// The shapes of a product of tensors: the last two axes are matrices, and those before them broadcast.
Status matmul_shape(const Tensor& a, const Tensor& b, int64_t* sizes, int* rank) {
  if (a.rank < 2 || b.rank < 2 || a.sizes[a.rank - 1] != b.sizes[b.rank - 2]) return wrong_shapes(a, b);
  Tensor batches[] = {a, b};
  const Tensor* const both[] = {&batches[0], &batches[1]};
  batches[0].rank -= 2;
  batches[1].rank -= 2;
  TRY(broadcast_shape(both, 2, sizes, rank));
  if (*rank + 2 > MAX_RANK) return wrong_shapes(a, b);
  sizes[(*rank)++] = a.sizes[a.rank - 2];
  sizes[(*rank)++] = b.sizes[b.rank - 1];
  return nullptr;
}

// Calls function(batch of a, batch of b, batch of the output) for each product of two matrices.
template <class Function>
void each_matrix(const Tensor& a, const Tensor& b, const int64_t* sizes, int rank, Function function) {
  Tensor batches[] = {a, b};
  const Tensor* const both[] = {&batches[0], &batches[1]};
  batches[0].rank -= 2;
  batches[1].rank -= 2;
  for (BroadcastWalk walk(sizes, rank - 2, both, 2); walk.next();)
    for (size_t i = 0; i < static_cast<size_t>(walk.length()); i++)
      function(walk.first_of(0) + i * static_cast<size_t>(walk.stride_of(0)),
               walk.first_of(1) + i * static_cast<size_t>(walk.stride_of(1)), walk.first() + i);
}

}  // namespace

Status run_matmul(NodeRun& node) {
  const Tensor& a = node.input(0);
  int64_t sizes[MAX_RANK];
  int rank = 0;
  void* data = nullptr;
  if (const PackedWeight* packed = static_cast<const PackedWeight*>(node.node.state)) {
    if (a.rank < 2 || a.sizes[a.rank - 1] != packed->weight.k)
      return fail(Message() << "its input is " << a << "; expected [..., rows, " << packed->weight.k << "]");
    for (rank = 0; rank < a.rank; rank++) sizes[rank] = a.sizes[rank];
    sizes[rank - 1] = packed->weight.n;
    TRY(node.output(0, a.type, sizes, rank, &data));
    return data && a.count() ? multiply_packed(*packed, a, nullptr, node.run.model.threads, data) : nullptr;
  }
  const Tensor& b = node.input(1);
  TRY(matmul_shape(a, b, sizes, &rank));
  TRY(node.output(0, a.type, sizes, rank, &data));
  const int64_t m = sizes[rank - 2], n = sizes[rank - 1], k = a.sizes[a.rank - 1];
  if (!data || !m || !n) return nullptr;
  NumberArray left, right;
  double* sums = nullptr;
  TRY(left.load(a));
  TRY(right.load(b));
  TRY(allocate_array(static_cast<size_t>(m * n), &sums));
  each_matrix(a, b, sizes, rank, [&](size_t of_a, size_t of_b, size_t of_y) {
    multiply_plain(left.reals() + of_a * static_cast<size_t>(m * k), false, right.reals() + of_b * static_cast<size_t>(k * n), false, m, k,
                   n, sums);
    store_numbers(a.type, sums, static_cast<int>(m * n), data, of_y * static_cast<size_t>(m * n));
  });
  release_memory(sums);
  return nullptr;
}

Status run_dynamic_quantize(NodeRun& node) {
  const Tensor& x = node.input(0);
  void *y = nullptr, *step = nullptr, *zero = nullptr;
  TRY(node.output(0, UINT8, x.sizes, x.rank, &y));
  TRY(node.output(1, FLOAT, nullptr, 0, &step));
  TRY(node.output(2, UINT8, nullptr, 0, &zero));
  const size_t count = x.count();
  float least = 0.0f, most = 0.0f;
  for (size_t i = 0; i < count; i++) {
    const float number = x.floats()[i];
    least = number < least ? number : least;
    most = number > most ? number : most;
  }
  // Rounds to the nearest integer, ties to even, within the range of uint8 beside a zero.
  const auto rounded = [](float number) {
    constexpr float FAR = 1024.0f, SHIFT = 12582912.0f;  // 1.5 · 2^23: the sum has no fraction
    const float near = number < -FAR ? -FAR : number > FAR ? FAR : number == number ? number : 0.0f;
    return static_cast<int>((near + SHIFT) - SHIFT);
  };
  const auto saturated = [](int number) { return static_cast<uint8_t>(number < 0 ? 0 : number > 255 ? 255 : number); };
  const float scale = most == least ? 1.0f : (most - least) / 255.0f;
  const uint8_t zero_point = saturated(rounded(-least / scale));
  if (step) *static_cast<float*>(step) = scale;
  if (zero) *static_cast<uint8_t*>(zero) = zero_point;
  for (size_t i = 0; y && i < count; i++)
    static_cast<uint8_t*>(y)[i] = saturated(rounded(x.floats()[i] / scale) + zero_point);
  return nullptr;
}

Status run_matmul_integer(NodeRun& node) {
  const Tensor &a = node.input(0), &b = node.input(1);
  int64_t sizes[MAX_RANK], zeros[2] = {};
  int rank = 0;
  void* data = nullptr;
  for (int i = 0; i < 2; i++) {
    if (!node.has(i + 2)) continue;
    const Tensor& zero = node.input(i + 2);
    if (zero.type != node.input(i).type || zero.count() != 1)
      return fail(Message() << "a zero point is " << zero << "; expected one number, of the type of its input");
    load_numbers(zero.type, zero.data, 0, 1, 1, &zeros[i]);
  }
  TRY(matmul_shape(a, b, sizes, &rank));
  TRY(node.output(0, INT32, sizes, rank, &data));
  const int64_t m = sizes[rank - 2], n = sizes[rank - 1], k = a.sizes[a.rank - 1];
  if (!data) return nullptr;
  NumberArray left, right;
  TRY(left.load(a));
  TRY(right.load(b));
  each_matrix(a, b, sizes, rank, [&](size_t of_a, size_t of_b, size_t of_y) {
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        int64_t sum = 0;
        for (int64_t s = 0; s < k; s++)
          sum += (left.integers()[static_cast<int64_t>(of_a) * m * k + i * k + s] - zeros[0]) *
                 (right.integers()[static_cast<int64_t>(of_b) * k * n + s * n + j] - zeros[1]);
        static_cast<int32_t*>(data)[static_cast<int64_t>(of_y) * m * n + i * n + j] = static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(sum)));
      }
  });
  return nullptr;
}

}  // namespace mbert
