#include "standalone/operators/standard/products.h"

#include "standalone/operators/numbers/functions.h"
#include "standalone/operators/numbers/strips.h"
#include "standalone/operators/standard/packed_product.h"

namespace mbert {

namespace {

enum GemmAttribute { ALPHA, BETA, TRANS_B };

// Numbers in float32: those of a tensor, or a copy of float16.
class Floats {
 public:
  ~Floats() { release_memory(copy); }
  Status load(const Tensor& tensor) {
    data = tensor.floats();
    if (tensor.type != FLOAT16) return nullptr;
    TRY(allocate_array(tensor.count(), &copy));
    data = copy;
    return copy_numbers(tensor, FLOAT, copy);
  }
  const float* data = nullptr;
  float* copy = nullptr;
};

// Computes y = x · weight + c?, of float32 or float16. The rows of x are all its axes but the last.
Status multiply_packed(const PackedWeight& packed, const Tensor& x, const Tensor* c, int threads, void* data) {
  Tensor y = x;
  y.type = FLOAT;
  y.sizes[x.rank - 1] = packed.weight.n;
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
  Product{packed, rows.data, static_cast<float*>(y.data), m, c != nullptr}.run(threads);
  return sums.copy ? copy_numbers(y, x.type, data) : nullptr;
}

// Returns the data of one of the matrices of a tensor.
void* matrix_of(const Tensor& matrix, void* data, size_t number) {
  return static_cast<char*>(data) + number * tensor_bytes(matrix);
}

void multiply_doubles(const Tensor& a, const Tensor& b, void* y) {
  const int64_t m = a.sizes[0], k = a.sizes[1], n = b.sizes[1];
  const double *left = static_cast<const double*>(a.data), *right = static_cast<const double*>(b.data);
  __builtin_memset(y, 0, static_cast<size_t>(m * n) * element_bytes(a.type));
  double* row = static_cast<double*>(y);
  for (int64_t i = 0; i < m; i++, row += n)
    for (int64_t j = 0; j < k; j++)
      for (int64_t column = 0; column < n; column++) row[column] += left[i * k + j] * right[j * n + column];
}

}  // namespace

Status load_gemm(Loading& node) {
  if (real_attribute(node.node, ALPHA) != 1.0f || real_attribute(node.node, BETA) != 1.0f)
    return fail(failure() << "alpha or beta is not 1; expected 1" << ADVICE);
  return pack_weight(node, node.node.attributes[TRANS_B] != 0);
}

Status load_matmul(Loading& node) {
  const bool is_weight = node.is_constant(1) && node.input(1).tensor.rank == 2 && node.input(1).type != DOUBLE;
  return is_weight ? pack_weight(node, false) : nullptr;
}

Status load_matmul_integer(Loading& node) { return pack_weight(node, false); }

void destroy_product(void* state) { release_weight(static_cast<PackedWeight*>(state)); }

namespace {

// The product with a weight that was packed when the model was loaded.
Status run_packed(NodeRun& node, const Tensor* c) {
  const PackedWeight& packed = *static_cast<const PackedWeight*>(node.node.state);
  const Tensor& x = node.input(0);
  if (x.rank < 1 || x.sizes[x.rank - 1] != packed.k)
    return fail(failure() << "its input is " << x << "; expected [rows, " << packed.k << "]");
  Tensor y = x;
  y.sizes[x.rank - 1] = packed.weight.n;
  int64_t strides[MAX_RANK];
  if (c && !c->broadcasts_to(y.sizes, y.rank, strides))
    return fail(failure() << "C is " << *c << "; expected what broadcasts to " << y);
  void* data = nullptr;
  TRY(node.output(0, x.type, y.sizes, y.rank, &data));
  return data ? multiply_packed(packed, x, c, node.run.model.threads, data) : nullptr;
}

}  // namespace

Status run_gemm(NodeRun& node) { return run_packed(node, node.has(2) ? &node.input(2) : nullptr); }

Status run_matmul(NodeRun& node) {
  if (node.node.state) return run_packed(node, nullptr);
  const Tensor &a = node.input(0), &b = node.input(1);
  // The axes before the last two number the matrices, and broadcast.
  Tensor left = a, right = b, y;
  left.rank -= 2;
  right.rank -= 2;
  const Tensor* const both[] = {&left, &right};
  if (left.rank < 0 || right.rank < 0 || b.sizes[right.rank] != a.sizes[left.rank + 1])
    return fail(failure() << "its inputs are " << a << " and " << b << "; expected matrices whose inner sizes are equal");
  TRY(broadcast_shape(both, 2, y.sizes, &y.rank));
  BroadcastWalk walk(y.sizes, y.rank, both, 2);
  const int64_t m = a.sizes[left.rank], k = b.sizes[right.rank], n = b.sizes[right.rank + 1];
  y.sizes[y.rank++] = m;
  y.sizes[y.rank++] = n;
  void* data = nullptr;
  TRY(node.output(0, a.type, y.sizes, y.rank, &data));
  if (!data || !m || !n) return nullptr;
  left.rank = right.rank = y.rank = 2;
  y.type = a.type;
  left.sizes[0] = y.sizes[0] = m;
  left.sizes[1] = right.sizes[0] = k;
  right.sizes[1] = y.sizes[1] = n;
  while (walk.next())
    for (size_t i = 0; i < static_cast<size_t>(walk.length()); i++) {
      left.data = matrix_of(left, a.data, walk.first_of(0) + i * static_cast<size_t>(walk.stride_of(0)));
      right.data = matrix_of(right, b.data, walk.first_of(1) + i * static_cast<size_t>(walk.stride_of(1)));
      void* to = matrix_of(y, data, walk.first() + i);
      if (a.type == DOUBLE || !k) {
        multiply_doubles(left, right, to);
        continue;
      }
      PackedWeight* packed = nullptr;
      Status status = pack_weight(right, false, &packed);
      if (!status) status = multiply_packed(*packed, left, nullptr, node.run.model.threads, to);
      release_weight(packed);
      TRY(status);
    }
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
  const auto saturated = [](int64_t number) { return static_cast<uint8_t>(number < 0 ? 0 : number > 255 ? 255 : number); };
  const float scale = most == least ? 1.0f : (most - least) / 255.0f;
  const uint8_t zero_point = saturated(nearest_integer(-least / scale));
  if (step) *static_cast<float*>(step) = scale;
  if (zero) *static_cast<uint8_t*>(zero) = zero_point;
  for (size_t i = 0; y && i < count; i++)
    static_cast<uint8_t*>(y)[i] = saturated(nearest_integer(x.floats()[i] / scale) + zero_point);
  return nullptr;
}

}  // namespace mbert
