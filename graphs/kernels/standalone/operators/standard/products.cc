#include "standalone/operators/standard/products.h"

#include "standalone/operators/numbers/strips.h"
#include "standalone/operators/standard/packed_product.h"

namespace mbert {

namespace {

enum GemmAttribute { ALPHA, BETA, TRANS_B };

// Numbers in float32: those of a tensor, or a copy.
class Floats {
 public:
  ~Floats() { release_memory(copy); }
  Status load(const Tensor& tensor) {
    data = tensor.floats();
    if (tensor.type == FLOAT) return nullptr;
    TRY(allocate_array(tensor.count(), &copy));
    data = copy;
    return copy_numbers(tensor, FLOAT, copy);
  }
  const float* data = nullptr;
  float* copy = nullptr;
};

// Computes y = x · weight + c?, of float32 or float16. The rows of x are all its axes but the last.
Status multiply_packed(NodeRun& node, const Tensor* c) {
  const PackedWeight& packed = *static_cast<const PackedWeight*>(node.node.state);
  const Tensor& x = node.input(0);
  if (x.rank < 1 || x.sizes[x.rank - 1] != packed.k)
    return fail(failure() << "its input is " << x << "; expected [rows, " << packed.k << "]");
  Tensor y = x;
  y.type = FLOAT;
  y.sizes[x.rank - 1] = packed.weight.n;
  int64_t strides[MAX_RANK];
  if (c && !c->broadcasts_to(y.sizes, y.rank, strides))
    return fail(failure() << "C is " << *c << "; expected what broadcasts to " << y);
  void* data = nullptr;
  TRY(node.output(0, x.type, y.sizes, y.rank, &data));
  if (!data) return nullptr;
  Floats rows, sums;
  TRY(rows.load(x));
  if (x.type != FLOAT) TRY(allocate_array(y.count(), &sums.copy));
  y.data = sums.copy ? sums.copy : data;
  if (c) {
    Strip strip;
    for (BroadcastWalk walk(y.sizes, y.rank, &c, 1); walk.next();) {
      load_numbers(c->type, c->data, walk.first_of(0), walk.stride_of(0), walk.length(), &strip);
      store_numbers(FLOAT, &strip, walk.length(), y.data, walk.first());
    }
  }
  const int64_t m = static_cast<int64_t>(x.count()) / packed.k;
  Product{packed, rows.data, static_cast<float*>(y.data), m, c != nullptr}.run(node.run.model.threads);
  return sums.copy ? copy_numbers(y, x.type, data) : nullptr;
}

}  // namespace

Status load_gemm(Loading& node) {
  if (real_attribute(node.node, ALPHA) != 1.0f || real_attribute(node.node, BETA) != 1.0f)
    return fail(failure() << "alpha or beta is not 1; expected 1" << ADVICE);
  return pack_weight(node, node.node.attributes[TRANS_B] != 0);
}

Status load_matmul(Loading& node) { return node.is_constant(1) ? pack_weight(node, false) : nullptr; }

Status load_matmul_integer(Loading& node) { return pack_weight(node, false); }

void destroy_product(void* state) { release_weight(static_cast<PackedWeight*>(state)); }

Status run_gemm(NodeRun& node) { return multiply_packed(node, node.has(2) ? &node.input(2) : nullptr); }

Status run_matmul(NodeRun& node) {
  if (node.node.state) return multiply_packed(node, nullptr);
  // Without a constant: matrices, or as many matrices on both sides.
  const Tensor &a = node.input(0), &b = node.input(1);
  const int rank = a.rank;
  const int64_t batch = rank == 3 ? a.sizes[0] : 1, k = rank > 1 ? a.sizes[rank - 1] : 0;
  if (rank < 2 || rank > 3 || b.rank != rank || b.sizes[rank - 2] != k || (rank == 3 && b.sizes[0] != batch))
    return fail(failure() << "its inputs are " << a << " and " << b << "; expected matrices whose inner sizes are equal");
  const int64_t m = a.sizes[rank - 2], n = b.sizes[rank - 1], sizes[] = {batch, m, n};
  void* data = nullptr;
  TRY(node.output(0, a.type, sizes + (3 - rank), rank, &data));
  if (!data || !n) return nullptr;
  NumberArray left, right;
  double* row = nullptr;
  TRY(left.load(a));
  TRY(right.load(b));
  TRY(allocate_array(static_cast<size_t>(n), &row));
  for (int64_t i = 0; i < batch * m; i++) {
    const double *factors = left.reals() + i * k, *matrix = right.reals() + i / m * k * n;
    for (int64_t column = 0; column < n; column++) row[column] = 0.0;
    for (int64_t j = 0; j < k; j++)
      for (int64_t column = 0; column < n; column++) row[column] += factors[j] * matrix[j * n + column];
    store_numbers(a.type, row, static_cast<int>(n), data, static_cast<size_t>(i * n));
  }
  release_memory(row);
  return nullptr;
}

Status run_matmul_integer(NodeRun& node) {
  const PackedWeight& packed = *static_cast<const PackedWeight*>(node.node.state);
  const Tensor& x = node.input(0);
  if (x.rank < 1 || x.sizes[x.rank - 1] != packed.k || (node.has(2) && node.input(2).count() != 1))
    return fail(failure() << "its input is " << x << "; expected [rows, " << packed.k << "], and one zero point");
  Tensor y = x;
  y.sizes[x.rank - 1] = packed.weight.n;
  void* data = nullptr;
  TRY(node.output(0, INT32, y.sizes, y.rank, &data));
  const int64_t zero_point = node.has(2) ? *static_cast<const uint8_t*>(node.input(2).data) : 0;
  return data && x.count() ? multiply_integers(packed, static_cast<const uint8_t*>(x.data), zero_point,
                                               static_cast<int64_t>(x.count()) / packed.k, node.run.model.threads,
                                               static_cast<int32_t*>(data))
                           : nullptr;
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

}  // namespace mbert
