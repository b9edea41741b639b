#include "standalone/operators/standard/elementwise.h"

#include "standalone/operators/numbers/functions.h"
#include "standalone/operators/numbers/strips.h"
#include "standalone/operators/standard/movement.h"

namespace mbert {

namespace {

constexpr int64_t INFINITY_BITS = 0x7FF0000000000000;

// Integers are added and multiplied as unsigned numbers, which wrap around.
uint64_t unsigned_of(int64_t number) { return static_cast<uint64_t>(number); }

// Whether a number is chosen before another: the smaller one, or the larger one. NaN, which is neither, remains.
template <class Number>
bool is_chosen(int code, Number x, Number y) {
  return x != x || (code == MIN ? x < y : x > y);
}

template <class Number>
Number clipped(Number x, Number least, Number most) {
  x = x < least ? least : x;
  return x > most ? most : x;
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
void compute_reals(int code, double slope, const Strip* inputs, int count, int output_type, Strip* result) {
  const double *a = inputs[0].reals, *b = inputs[1].reals;
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
    case CAST:
      *result = inputs[0];
      if (output_type == BOOL)
        for (int i = 0; i < count; i++) result->integers[i] = a[i] != 0;
      else if (!is_real(output_type))
        to_integers(result, count);
      return;
    default: break;
  }
  for (int i = 0; i < count; i++) switch (code) {
      case DIV: reals[i] = a[i] / b[i]; break;
      case MIN:
      case MAX: reals[i] = is_chosen(code, a[i], b[i]) ? a[i] : b[i]; break;
      case RELU: reals[i] = a[i] < 0 ? 0.0 : a[i]; break;
      case TANH: reals[i] = tanh_of(a[i]); break;
      case ERF: reals[i] = erf_of(a[i]); break;
      case SIGMOID: reals[i] = 1.0 / (1.0 + exp_of(-a[i])); break;
      case ABS: reals[i] = __builtin_fabs(a[i]); break;
      case SQRT: reals[i] = __builtin_sqrt(a[i]); break;
      case LEAKY_RELU: reals[i] = a[i] < 0 ? slope * a[i] : a[i]; break;
      case MISH: {
        // With e = exp(x), it is x · tanh(log(1 + e)); from 40 on, that is x.
        const double e = exp_of(a[i] > 40.0 ? 40.0 : a[i]), share = e * (e + 2.0);
        reals[i] = a[i] * (share / (share + 2.0));
        break;
      }
      case CLIP: reals[i] = clipped(a[i], b[i], inputs[2].reals[i]); break;
      case POW: reals[i] = b[i] == 0.5 ? __builtin_sqrt(a[i]) : b[i] == 2.0 ? a[i] * a[i] : a[i] * a[i] * a[i]; break;
      case QUANTIZE: {
        const bool is_signed = output_type == INT8 || output_type == INT16;
        const int64_t steps = int64_t{1} << 8 * element_bytes(output_type), least = is_signed ? -steps / 2 : 0;
        // The quotient is of float32, as in onnxruntime.
        const int64_t near = nearest_integer(static_cast<float>(a[i]) / static_cast<float>(b[i])) + inputs[2].integers[i];
        result->integers[i] = near < least ? least : near < least + steps ? near : least + steps - 1;
        break;
      }
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

bool compute_integers(int code, const Strip* inputs, int count, int output_type, Strip* output) {
  const int64_t *a = inputs[0].integers, *b = inputs[1].integers, *c = inputs[2].integers;
  int64_t* result = output->integers;
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
      case CLIP: result[i] = clipped(a[i], b[i], c[i]); break;
      case WHERE: result[i] = a[i] ? b[i] : c[i]; break;
      case EXPAND:
      case CAST: result[i] = a[i]; break;
      case DEQUANTIZE:
        output->reals[i] = static_cast<float>(a[i] - c[i]) * static_cast<float>(inputs[1].reals[i]);
        break;
      default: result[i] = compare(code, a[i], b[i]); break;
    }
  if (code == CAST && is_real(output_type)) to_reals(output, count);
  return true;
}

// Makes scales, or zero points, a tensor that broadcasts to x: they are one, or one for each index of an axis.
Status broadcast_scales(const Tensor& x, int64_t axis, Tensor* scales) {
  int place = 0;
  if (scales->rank <= 1 && scales->count() == 1) {
    scales->rank = 0;
    return nullptr;
  }
  TRY(resolve_axis(axis, x.rank, &place));
  if (scales->rank != 1 || scales->sizes[0] != x.sizes[place])
    return fail(failure() << "a scale or zero point is " << *scales << "; expected one, or " << x.sizes[place]);
  scales->rank = x.rank - place;
  for (int i = 1; i < scales->rank; i++) scales->sizes[i] = 1;
  return nullptr;
}

}  // namespace

Status load_cast(Loading& node) {
  const int type = static_cast<int>(node.node.attributes[0]);
  if (node.node.attributes[0] < 0 || !is_in(type, ANY_TYPE))
    return fail(failure() << "the type to cast to is " << node.node.attributes[0]
                          << "; expected one that the runtime has" << ADVICE);
  if (node.node.output_count && node.node.outputs[0] >= 0) node.output(0).type = type;
  return nullptr;
}

Status load_power(Loading& node) {
  double exponent = 0.0;
  if (node.is_constant(1) && node.input(1).tensor.count() == 1) {
    TRY(own(&node.model.values[static_cast<size_t>(node.node.inputs[1])]));
    load_numbers(node.input(1).type, node.input(1).tensor.data, 0, 1, 1, &exponent);
  }
  return exponent == 0.5 || exponent == 2.0 || exponent == 3.0
             ? nullptr
             : fail(failure() << "its exponent is not a constant of 0.5, 2 or 3; expected one" << ADVICE);
}

Status run_elementwise(NodeRun& node) {
  const int code = node.node.standard->code;
  // Those of Cast and Expand are the type and the shape.
  const int most = code == CAST || code == EXPAND ? 1 : 3;
  Tensor tensors[3];
  const Tensor* const inputs[] = {&tensors[0], &tensors[1], &tensors[2]};
  int types[3], count = 0, rank = 0;
  for (; count < most && node.has(count); count++) {
    tensors[count] = node.input(count);
    const int type = tensors[count].type;
    types[count] = code == EXPAND || code == WHERE ? bits_type(type) : type;
    if (count && code >= QUANTIZE) TRY(broadcast_scales(tensors[0], node.node.attributes[0], &tensors[count]));
  }
  int shapes = count;
  if (code == EXPAND) {  // a tensor of the shape, without data
    TRY(load_list(node.input(1), "the shape", tensors[1].sizes, MAX_RANK, &tensors[1].rank));
    if (!are_sizes(tensors[1].sizes, tensors[1].rank))
      return fail(failure() << "the shape is " << tensors[1] << "; expected sizes that fit");
    shapes = 2;
  }
  int64_t sizes[MAX_RANK];
  void* data = nullptr;
  TRY(broadcast_shape(inputs, shapes, sizes, &rank));
  if (!node.has_output(0)) return nullptr;
  int output_type = node.run.model.values[static_cast<size_t>(node.node.outputs[0])].type;
  TRY(node.output(0, output_type, sizes, rank, &data));
  if (code == EXPAND || code == WHERE) output_type = bits_type(output_type);
  const double slope = code == LEAKY_RELU ? static_cast<double>(real_attribute(node.node, 0)) : 0.0;
  Strip strips[3], result;
  // What an absent third input is: zero, or the upper limit that no number exceeds.
  const int64_t absent = code != CLIP ? 0 : is_real(types[0]) ? INFINITY_BITS : INT64_MAX;
  for (int64_t& element : strips[2].integers) element = absent;
  for (BroadcastWalk walk(sizes, rank, inputs, count); walk.next();) {
    const int length = walk.length();
    for (int i = 0; i < count; i++)
      load_numbers(types[i], tensors[i].data, walk.first_of(i), walk.stride_of(i), length, &strips[i]);
    if (is_real(types[0]))
      compute_reals(code, slope, strips, length, output_type, &result);
    else if (!compute_integers(code, strips, length, output_type, &result))
      return fail(failure() << "an integer is divided by 0; expected another divisor");
    store_numbers(output_type, &result, length, data, walk.first());
  }
  return nullptr;
}

}  // namespace mbert
