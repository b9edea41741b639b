#include "standalone/operators/standard/reductions.h"

#include "standalone/operators/numbers/functions.h"
#include "standalone/operators/standard/movement.h"
#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

template <class Number>
Number combined(int code, Number a, Number b) {
  switch (code) {
    case REDUCE_MAX: return b > a || b != b ? b : a;
    case REDUCE_MIN: return b < a || b != b ? b : a;
    case REDUCE_L2: return a + b * b;
    default: return a + b;
  }
}

// Adds as unsigned numbers, which wrap around.
int64_t combined_integers(int code, int64_t a, int64_t b) {
  if (code != REDUCE_SUM) return combined(code, a, b);
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// What a reduction begins with.
void fill(int code, bool reals, size_t count, void* numbers) {
  for (size_t i = 0; i < count; i++) {
    const bool is_max = code == REDUCE_MAX;
    if (reals)
      static_cast<double*>(numbers)[i] = code >= REDUCE_SUM ? 0.0 : is_max ? -__builtin_inf() : __builtin_inf();
    else
      static_cast<int64_t*>(numbers)[i] = code >= REDUCE_SUM ? 0 : is_max ? INT64_MIN : INT64_MAX;
  }
}

// The rows along the last axis of a tensor: their number and their length.
Status last_axis(const NodeRun& node, int64_t axis, int64_t* rows, int64_t* length) {
  const Tensor& tensor = node.input(0);
  int resolved = 0;
  TRY(resolve_axis(axis, tensor.rank, &resolved));
  if (resolved != tensor.rank - 1)
    return fail(failure() << "the axis is " << axis << " of " << tensor << "; expected the last one" << ADVICE);
  *length = tensor.sizes[resolved];
  *rows = 1;
  for (int i = 0; i < resolved; i++) *rows *= tensor.sizes[i];
  return nullptr;
}

// Calls function(row, numbers) for each row, of whose real numbers it gets a copy.
template <class Function>
Status each_row(const Tensor& tensor, int64_t rows, int64_t length, Function function) {
  double* numbers = nullptr;
  if (!length) return nullptr;
  TRY(allocate_array(static_cast<size_t>(length), &numbers));
  for (int64_t row = 0; row < rows; row++) {
    load_numbers(tensor.type, tensor.data, static_cast<size_t>(row * length), 1, static_cast<int>(length), numbers);
    function(static_cast<size_t>(row), numbers);
  }
  release_memory(numbers);
  return nullptr;
}

}  // namespace

Status run_reduction(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const int code = node.node.standard->code;
  const bool keeps = node.node.attributes[0] != 0, reals = is_real(tensor.type);
  int64_t axes[MAX_RANK], sizes[MAX_RANK];
  int count = 0, rank = 0;
  if (node.has(1)) TRY(load_list(node.input(1), "the list of axes", axes, MAX_RANK, &count));
  bool is_reduced[MAX_RANK];
  for (int axis = 0; axis < tensor.rank; axis++) is_reduced[axis] = count == 0 && node.node.attributes[1] == 0;
  for (int i = 0; i < count; i++) {
    int axis = 0;
    TRY(resolve_axis(axes[i], tensor.rank, &axis));
    is_reduced[axis] = true;
  }
  // The results as a tensor that broadcasts to the input.
  Tensor results;
  results.rank = tensor.rank;
  for (int axis = 0; axis < tensor.rank; axis++) {
    results.sizes[axis] = is_reduced[axis] ? 1 : tensor.sizes[axis];
    if (keeps || !is_reduced[axis]) sizes[rank++] = results.sizes[axis];
  }
  const size_t total = results.count();
  if (code < REDUCE_SUM && total && !tensor.count())
    return fail(failure() << "its input is " << tensor << "; expected numbers for each of its output");
  void* data = nullptr;
  TRY(node.output(0, tensor.type, sizes, rank, &data));
  if (!data) return nullptr;
  int64_t* memory = nullptr;
  TRY(allocate_array(total, &memory));
  fill(code, reals, total, memory);
  const Tensor* const both[] = {&tensor, &results};
  Strip strip;
  for (BroadcastWalk walk(tensor.sizes, tensor.rank, both, 2); walk.next();) {
    load_numbers(tensor.type, tensor.data, walk.first_of(0), walk.stride_of(0), walk.length(), &strip);
    const size_t first = walk.first_of(1), stride = static_cast<size_t>(walk.stride_of(1));
    for (int i = 0; i < walk.length(); i++) {
      const size_t place = first + static_cast<size_t>(i) * stride;
      if (reals) {
        double* result = reinterpret_cast<double*>(memory) + place;
        *result = combined(code, *result, strip.reals[i]);
      } else {
        memory[place] = combined_integers(code, memory[place], strip.integers[i]);
      }
    }
  }
  double* results_of_reals = reinterpret_cast<double*>(memory);
  for (size_t i = 0; code == REDUCE_L2 && i < total; i++) results_of_reals[i] = __builtin_sqrt(results_of_reals[i]);
  store_numbers(tensor.type, memory, static_cast<int>(total), data, 0);
  release_memory(memory);
  return nullptr;
}

Status run_arg_max(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t rows = 0, length = 0, sizes[MAX_RANK];
  const bool keeps = node.node.attributes[1] != 0;
  TRY(last_axis(node, node.node.attributes[0], &rows, &length));
  if (!length) return fail(failure() << "its input is " << tensor << "; expected one number at least in each row");
  for (int axis = 0; axis < tensor.rank; axis++) sizes[axis] = axis == tensor.rank - 1 ? 1 : tensor.sizes[axis];
  void* data = nullptr;
  TRY(node.output(0, INT64, sizes, tensor.rank - !keeps, &data));
  if (!data) return nullptr;
  return each_row(tensor, rows, length, [&](size_t row, const double* numbers) {
    int64_t best = 0;
    for (int64_t i = 1; i < length; i++)
      if (numbers[i] > numbers[best]) best = i;
    static_cast<int64_t*>(data)[row] = best;
  });
}

Status run_softmax(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t rows = 0, length = 0;
  TRY(last_axis(node, node.node.attributes[0], &rows, &length));
  void* data = nullptr;
  TRY(node.output(0, tensor.type, tensor.sizes, tensor.rank, &data));
  if (!data) return nullptr;
  return each_row(tensor, rows, length, [&](size_t row, double* numbers) {
    double most = -__builtin_inf(), sum = 0.0;
    for (int64_t i = 0; i < length; i++) most = numbers[i] > most ? numbers[i] : most;
    for (int64_t i = 0; i < length; i++) sum += numbers[i] = exp_of(numbers[i] - most);
    for (int64_t i = 0; i < length; i++) numbers[i] /= sum;
    store_numbers(tensor.type, numbers, static_cast<int>(length), data, row * static_cast<size_t>(length));
  });
}

Status run_layer_normalization(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t rows = 0, length = 0;
  TRY(last_axis(node, node.node.attributes[0], &rows, &length));
  const double epsilon = static_cast<double>(real_attribute(node.node, 1));
  NumberArray scale, bias;
  for (int i = 1; i < 3; i++) {
    if (!node.has(i)) continue;
    if (!node.input(i).is(tensor.type, 1) || node.input(i).sizes[0] != length)
      return fail(failure() << "input " << i << " is " << node.input(i) << "; expected [" << length << "]");
    TRY((i == 1 ? scale : bias).load(node.input(i)));
  }
  void* data = nullptr;
  TRY(node.output(0, tensor.type, tensor.sizes, tensor.rank, &data));
  if (!data) return nullptr;
  return each_row(tensor, rows, length, [&](size_t row, double* numbers) {
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < length; i++) mean += numbers[i];
    mean /= static_cast<double>(length);
    for (int64_t i = 0; i < length; i++) variance += (numbers[i] - mean) * (numbers[i] - mean);
    const double deviation = __builtin_sqrt(variance / static_cast<double>(length) + epsilon);
    for (int64_t i = 0; i < length; i++) {
      numbers[i] = (numbers[i] - mean) / deviation * scale.reals()[i];
      if (bias.reals()) numbers[i] += bias.reals()[i];
    }
    store_numbers(tensor.type, numbers, static_cast<int>(length), data, row * static_cast<size_t>(length));
  });
}

Status run_cumulative_sum(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t axis[1] = {};
  int given = 0;
  TRY(load_list(node.input(1), "the axis", axis, 1, &given));
  if (tensor.rank != 1 || axis[0] > 0)
    return fail(failure() << "its input is " << tensor << "; expected one axis" << ADVICE);
  void* data = nullptr;
  TRY(node.output(0, tensor.type, tensor.sizes, 1, &data));
  if (!data) return nullptr;
  const bool is_exclusive = node.node.attributes[0] != 0;
  NumberArray numbers;
  TRY(numbers.load(tensor));
  int64_t* integers = numbers.integers();
  uint64_t sum = 0;
  for (int64_t i = 0; i < tensor.sizes[0]; i++) {
    const uint64_t before = sum;
    sum += static_cast<uint64_t>(integers[i]);
    integers[i] = static_cast<int64_t>(is_exclusive ? before : sum);
  }
  store_numbers(tensor.type, integers, static_cast<int>(tensor.sizes[0]), data, 0);
  return nullptr;
}

}  // namespace mbert
