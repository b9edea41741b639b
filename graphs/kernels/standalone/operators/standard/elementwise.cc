#include "standalone/operators/standard/elementwise.h"

#include "standalone/operators/numbers/functions.h"
#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

// Integers are added and multiplied as unsigned numbers, which wrap around.
uint64_t unsigned_of(int64_t number) { return static_cast<uint64_t>(number); }

// Whether a number is chosen before another: the smaller one, or the larger one. NaN, which is neither, remains.
template <class Number>
bool is_chosen(int code, Number x, Number y) {
  return x != x || (code == MIN ? x < y : x > y);
}

template <class Number>
bool compare(int code, Number x, Number y) {
  switch (code) {
    case EQUAL: return x == y;
    case LESS: return x < y;
    case GREATER: return x > y;
    default: return x >= y;
  }
}

// The frequent operators have loops of their own.
void compute_reals(int code, Strip* result, const double* a, const double* b, int count) {
  double* reals = result->reals;
  switch (code) {
    case ADD:
      for (int i = 0; i < count; i++) reals[i] = a[i] + b[i];
      return;
    case SUB:
      for (int i = 0; i < count; i++) reals[i] = a[i] - b[i];
      return;
    case MUL:
      for (int i = 0; i < count; i++) reals[i] = a[i] * b[i];
      return;
    default: break;
  }
  for (int i = 0; i < count; i++) switch (code) {
      case DIV: reals[i] = a[i] / b[i]; break;
      case MIN:
      case MAX: reals[i] = is_chosen(code, a[i], b[i]) ? a[i] : b[i]; break;
      case RELU: reals[i] = a[i] < 0 ? 0.0 : a[i]; break;
      case TANH: reals[i] = tanh_of(a[i]); break;
      default: result->integers[i] = compare(code, a[i], b[i]); break;
    }
}

// Returns false where a divisor is 0.
bool divide(int code, int64_t a, int64_t b, int64_t* result) {
  if (!b) return false;
  // The lowest number divided by −1 wraps around.
  const int64_t quotient = b == -1 ? static_cast<int64_t>(0 - unsigned_of(a)) : a / b;
  int64_t remainder = b == -1 ? 0 : a % b;
  if (remainder && (remainder < 0) != (b < 0)) remainder += b;  // it has the sign of the divisor
  *result = code == DIV ? quotient : remainder;
  return true;
}

bool compute_integers(int code, int64_t* result, const int64_t* a, const int64_t* b, int count) {
  for (int i = 0; i < count; i++) switch (code) {
      case ADD: result[i] = static_cast<int64_t>(unsigned_of(a[i]) + unsigned_of(b[i])); break;
      case SUB: result[i] = static_cast<int64_t>(unsigned_of(a[i]) - unsigned_of(b[i])); break;
      case MUL: result[i] = static_cast<int64_t>(unsigned_of(a[i]) * unsigned_of(b[i])); break;
      case MIN:
      case MAX: result[i] = is_chosen(code, a[i], b[i]) ? a[i] : b[i]; break;
      case RELU: result[i] = a[i] < 0 ? 0 : a[i]; break;
      case AND: result[i] = a[i] && b[i]; break;
      case OR: result[i] = a[i] || b[i]; break;
      case NOT: result[i] = !a[i]; break;
      case DIV:
      case MOD:
        if (!divide(code, a[i], b[i], &result[i])) return false;
        break;
      default: result[i] = compare(code, a[i], b[i]); break;
    }
  return true;
}

// Loads the strip of an input of a walk, as `type`.
void load(const BroadcastWalk& walk, int index, const Tensor& tensor, int type, Strip* strip) {
  load_numbers(type, tensor.data, walk.first_of(index), walk.stride_of(index), walk.length(), strip);
}

// Collects the inputs of a node, and allocates its output, of the shape to which they broadcast.
Status prepare(NodeRun& node, int type, const Tensor** inputs, int64_t* sizes, int* rank, void** data) {
  const int count = node.node.input_count;
  for (int i = 0; i < count; i++) inputs[i] = &node.input(i);
  TRY(broadcast_shape(inputs, count, sizes, rank));
  return node.output(0, type, sizes, *rank, data);
}

}  // namespace

Status run_elementwise(NodeRun& node) {
  const int code = node.node.standard->code, count = node.node.input_count;
  const Tensor* inputs[2];
  int64_t sizes[MAX_RANK];
  int rank = 0;
  void* data = nullptr;
  const int type = node.input(0).type;
  const bool is_comparison = code >= EQUAL && code <= NOT;
  const int output_type = is_comparison ? BOOL : type;
  TRY(prepare(node, output_type, inputs, sizes, &rank, &data));
  if (!data) return nullptr;
  Strip a, b, result;
  for (BroadcastWalk walk(sizes, rank, inputs, count); walk.next();) {
    load(walk, 0, *inputs[0], type, &a);
    if (count > 1) load(walk, 1, *inputs[1], type, &b);
    if (is_real(type))
      compute_reals(code, &result, a.reals, b.reals, walk.length());
    else if (!compute_integers(code, result.integers, a.integers, b.integers, walk.length()))
      return fail(failure() << "an integer is divided by 0; expected another divisor");
    store_numbers(output_type, &result, walk.length(), data, walk.first());
  }
  return nullptr;
}

Status run_where(NodeRun& node) {
  const Tensor* inputs[3];
  int64_t sizes[MAX_RANK];
  int rank = 0;
  void* data = nullptr;
  TRY(prepare(node, node.input(1).type, inputs, sizes, &rank, &data));
  if (!data) return nullptr;
  const int type = bits_type(node.input(1).type);
  Strip condition, a, b;
  for (BroadcastWalk walk(sizes, rank, inputs, 3); walk.next();) {
    load(walk, 0, *inputs[0], BOOL, &condition);
    load(walk, 1, *inputs[1], type, &a);
    load(walk, 2, *inputs[2], type, &b);
    for (int i = 0; i < walk.length(); i++) a.integers[i] = condition.integers[i] ? a.integers[i] : b.integers[i];
    store_numbers(type, &a, walk.length(), data, walk.first());
  }
  return nullptr;
}

Status load_cast(Loading& node) {
  const int type = static_cast<int>(node.node.attributes[0]);
  if (node.node.attributes[0] < 0 || !is_in(type, ANY_TYPE))
    return fail(failure() << "the type to cast to is " << node.node.attributes[0]
                          << "; expected one that the runtime has" << ADVICE);
  if (node.node.output_count && node.node.outputs[0] >= 0) node.output(0).type = type;
  return nullptr;
}

Status run_cast(NodeRun& node) {
  const Tensor& from = node.input(0);
  if (!node.has_output(0)) return nullptr;
  const int type = node.run.model.values[static_cast<size_t>(node.node.outputs[0])].type;
  void* data = nullptr;
  TRY(node.output(0, type, from.sizes, from.rank, &data));
  Strip strip;
  const Tensor* inputs[] = {&from};
  for (BroadcastWalk walk(from.sizes, from.rank, inputs, 1); walk.next();) {
    load(walk, 0, from, from.type, &strip);
    if (is_real(from.type) && type == BOOL)
      for (int i = 0; i < walk.length(); i++) strip.integers[i] = strip.reals[i] != 0;
    else if (is_real(from.type) && !is_real(type))
      to_integers(&strip, walk.length());
    else if (!is_real(from.type) && is_real(type))
      to_reals(&strip, walk.length());
    store_numbers(type, &strip, walk.length(), data, walk.first());
  }
  return nullptr;
}

Status run_expand(NodeRun& node) {
  const Tensor& from = node.input(0);
  Tensor shape;  // a tensor of this shape, without data
  int64_t sizes[MAX_RANK];
  int rank = 0;
  void* data = nullptr;
  TRY(load_list(node.input(1), "the shape", shape.sizes, MAX_RANK, &shape.rank));
  if (!are_sizes(shape.sizes, shape.rank))
    return fail(failure() << "the shape is " << shape << "; expected sizes that fit");
  const Tensor* const both[] = {&from, &shape};
  TRY(broadcast_shape(both, 2, sizes, &rank));
  TRY(node.output(0, from.type, sizes, rank, &data));
  if (!data) return nullptr;
  const int type = bits_type(from.type);
  Strip strip;
  for (BroadcastWalk walk(sizes, rank, both, 1); walk.next();) {
    load(walk, 0, from, type, &strip);
    store_numbers(type, &strip, walk.length(), data, walk.first());
  }
  return nullptr;
}

}  // namespace mbert
