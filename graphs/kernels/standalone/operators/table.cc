// The table of standard operators.
#include "standalone/operators/kernels.h"
#include "standalone/operators/operator.h"
#include "standalone/operators/standard/elementwise.h"
#include "standalone/operators/standard/movement.h"
#include "standalone/operators/standard/products.h"
#include "standalone/operators/standard/ranking.h"
#include "standalone/operators/standard/reductions.h"

namespace mbert {

namespace {

using Rule = AttributeRule;

// The bits of 1.0, of 0.01 and of 1e-5.
constexpr int32_t ONE = 0x3f800000, HUNDREDTH = 0x3c23d70a, EPSILON = 0x3727c5ac;

constexpr Rule AXIS_0[] = {{Rule::INTEGER, false, "axis", 0}};
constexpr Rule AXIS[] = {{Rule::INTEGER, true, "axis"}};
constexpr Rule LAST_AXIS[] = {{Rule::INTEGER, false, "axis", -1}};
constexpr Rule ARG_MAX[] = {{Rule::INTEGER, false, "axis", 0},
                            {Rule::INTEGER, false, "keepdims", 1},
                            {Rule::FIXED, false, "select_last_index", 0}};
constexpr Rule CAST[] = {{Rule::INTEGER, true, "to"}, {Rule::FIXED, false, "saturate", 1}};
constexpr Rule CAST_LIKE[] = {{Rule::FIXED, false, "saturate", 1}};
constexpr Rule CUM_SUM[] = {{Rule::INTEGER, false, "exclusive", 0}, {Rule::FIXED, false, "reverse", 0}};
constexpr Rule GEMM[] = {{Rule::REAL, false, "alpha", ONE},
                         {Rule::REAL, false, "beta", ONE},
                         {Rule::FIXED, false, "transA", 0},
                         {Rule::INTEGER, false, "transB", 0}};
constexpr Rule LAYER_NORM[] = {{Rule::INTEGER, false, "axis", -1},
                               {Rule::REAL, false, "epsilon", EPSILON},
                               {Rule::FIXED, false, "stash_type", 1}};
constexpr Rule LEAKY_SLOPE[] = {{Rule::REAL, false, "alpha", HUNDREDTH}};
constexpr Rule MODULO[] = {{Rule::FIXED, false, "fmod", 0}};
constexpr Rule PAD[] = {{Rule::WORD, false, "mode", 0, "constant "}};
constexpr Rule STEP_SIZES[] = {{Rule::INTEGER, false, "axis", 1},
                             {Rule::FIXED, false, "saturate", 1},
                             {Rule::FIXED, false, "block_size", 0},
                             {Rule::FIXED, false, "output_dtype", 0}};
constexpr Rule REDUCE[] = {{Rule::INTEGER, false, "keepdims", 1}, {Rule::INTEGER, false, "noop_with_empty_axes", 0}};
constexpr Rule RESHAPE[] = {{Rule::INTEGER, false, "allowzero", 0}};
constexpr Rule SCATTER[] = {{Rule::INTEGER, false, "axis", 0}, {Rule::WORD, false, "reduction", 0, "none add max min "}};
constexpr Rule SHAPE[] = {{Rule::INTEGER, false, "start", 0}, {Rule::INTEGER, false, "end", INT32_MAX}};
constexpr Rule SPLIT[] = {{Rule::INTEGER, false, "axis", 0}, {Rule::INTEGER, false, "num_outputs", 0}};
constexpr Rule TOP_K[] = {{Rule::INTEGER, false, "axis", -1},
                          {Rule::INTEGER, false, "largest", 1},
                          {Rule::FIXED, false, "sorted", 1}};
constexpr Rule TRANSPOSE[] = {{Rule::LIST, false, "perm"}};
constexpr Rule UNIQUE[] = {{Rule::FIXED, true, "axis", 0}, {Rule::FIXED, true, "sorted", 0}};

template <int COUNT>
constexpr Operator with(const Rule (&rules)[COUNT], const char* name, const char* signature, uint32_t types,
                        Status (*run)(NodeRun&), uint8_t code = 0, const Preparation* preparation = nullptr) {
  return {name, signature, types, rules, COUNT, code, run, preparation};
}

constexpr Operator plain(const char* name, const char* signature, uint32_t types, Status (*run)(NodeRun&), uint8_t code = 0,
                         const Preparation* preparation = nullptr) {
  return {name, signature, types, nullptr, 0, code, run, preparation};
}

constexpr Preparation OF_CAST{load_cast, nullptr}, OF_POWER{load_power, nullptr}, OF_GEMM{load_gemm, destroy_product},
    OF_MATMUL{load_matmul, destroy_product}, OF_MATMUL_INTEGER{load_matmul_integer, destroy_product};

constexpr uint32_t BOOLS = type_bit(BOOL);
// Integers that number the steps of a quantization.
constexpr uint32_t STEPS = type_bit(UINT8) | type_bit(INT8) | type_bit(UINT16) | type_bit(INT16);

constexpr Operator OPERATORS[] = {
    plain("Abs", "T>T", REALS, run_elementwise, ABS),
    plain("Add", "TT>T", NUMBERS, run_elementwise, ADD),
    plain("And", "TT>T", BOOLS, run_elementwise, AND),
    with(ARG_MAX, "ArgMax", "T>L", REALS, run_arg_max),
    with(CAST, "Cast", "X>?", 0, run_elementwise, Elementwise::CAST, &OF_CAST),
    with(CAST_LIKE, "CastLike", "XT>T", ANY_TYPE, run_elementwise, Elementwise::CAST),
    plain("Clip", "TTt>T", NUMBERS, run_elementwise, CLIP),
    with(AXIS, "Concat", "T*>T", ANY_TYPE, run_concat),
    with(CUM_SUM, "CumSum", "TI>T", INTEGERS, run_cumulative_sum),
    with(STEP_SIZES, "DequantizeLinear", "TFt>F", STEPS | type_bit(INT32), run_elementwise, DEQUANTIZE),
    plain("Div", "TT>T", NUMBERS, run_elementwise, DIV),
    plain("DynamicQuantizeLinear", "F>UFU", 0, run_dynamic_quantize),
    plain("Equal", "TT>B", ANY_TYPE, run_elementwise, EQUAL),
    plain("Erf", "T>T", REALS, run_elementwise, ERF),
    plain("Expand", "TL>T", ANY_TYPE, run_elementwise, EXPAND),
    with(AXIS_0, "Gather", "TI>T", ANY_TYPE, run_gather),
    with(GEMM, "Gemm", "TTt>T", REALS, run_gemm, 0, &OF_GEMM),
    plain("Greater", "TT>B", NUMBERS, run_elementwise, GREATER),
    plain("GreaterOrEqual", "TT>B", NUMBERS, run_elementwise, GREATER_OR_EQUAL),
    plain("Identity", "T>T", ANY_TYPE, run_identity),
    with(LAYER_NORM, "LayerNormalization", "TTt>T", REALS, run_layer_normalization),
    with(LEAKY_SLOPE, "LeakyRelu", "T>T", REALS, run_elementwise, LEAKY_RELU),
    plain("Less", "TT>B", NUMBERS, run_elementwise, LESS),
    plain("MatMul", "TT>T", REALS, run_matmul, 0, &OF_MATMUL),
    plain("MatMulInteger", "UXu>J", 0, run_matmul_integer, 0, &OF_MATMUL_INTEGER),
    plain("Max", "TT>T", NUMBERS, run_elementwise, MAX),
    plain("Min", "TT>T", NUMBERS, run_elementwise, MIN),
    plain("Mish", "T>T", REALS, run_elementwise, MISH),
    with(MODULO, "Mod", "TT>T", INTEGERS, run_elementwise, Elementwise::MOD),
    plain("Mul", "TT>T", NUMBERS, run_elementwise, MUL),
    plain("NonZero", "T>L", INTEGERS | type_bit(BOOL), run_nonzero),
    plain("Not", "T>T", BOOLS, run_elementwise, NOT),
    plain("Or", "TT>T", BOOLS, run_elementwise, OR),
    with(PAD, "Pad", "TLt>T", ANY_TYPE, run_pad),
    plain("Pow", "TT>T", REALS, run_elementwise, POW, &OF_POWER),
    with(STEP_SIZES, "QuantizeLinear", "FFT>T", STEPS, run_elementwise, QUANTIZE),
    plain("Range", "LLL>L", 0, run_range),
    with(REDUCE, "ReduceL2", "Tl>T", REALS, run_reduction, REDUCE_L2),
    with(REDUCE, "ReduceMax", "Tl>T", NUMBERS, run_reduction, REDUCE_MAX),
    with(REDUCE, "ReduceMin", "Tl>T", NUMBERS, run_reduction, REDUCE_MIN),
    with(REDUCE, "ReduceSum", "Tl>T", NUMBERS, run_reduction, REDUCE_SUM),
    plain("Relu", "T>T", NUMBERS, run_elementwise, RELU),
    with(RESHAPE, "Reshape", "TL>T", ANY_TYPE, run_reshape),
    with(SCATTER, "ScatterElements", "TIT>T", NUMBERS, run_scatter_elements),
    with(SHAPE, "Shape", "X>L", 0, run_shape),
    plain("Slice", "TIIii>T", ANY_TYPE, run_slice),
    plain("Sigmoid", "T>T", REALS, run_elementwise, SIGMOID),
    with(LAST_AXIS, "Softmax", "T>T", REALS, run_softmax),
    with(SPLIT, "Split", "Tl>T*", ANY_TYPE, run_split),
    plain("Sqrt", "T>T", REALS, run_elementwise, SQRT),
    plain("Squeeze", "Tl>T", ANY_TYPE, run_squeeze),
    plain("Sub", "TT>T", NUMBERS, run_elementwise, SUB),
    plain("Tanh", "T>T", REALS, run_elementwise, TANH),
    with(TOP_K, "TopK", "TL>TL", NUMBERS, run_top_k),
    with(TRANSPOSE, "Transpose", "T>T", ANY_TYPE, run_transpose),
    with(UNIQUE, "Unique", "T>TLLL", type_bit(INT64), run_unique),
    plain("Unsqueeze", "TL>T", ANY_TYPE, run_unsqueeze),
    plain("Where", "BTT>T", ANY_TYPE, run_elementwise, WHERE),
};

}  // namespace

const Operator* find_operator(const View& type) {
  for (const Operator& one : OPERATORS)
    if (type.is(one.name)) return &one;
  return nullptr;
}

}  // namespace mbert
