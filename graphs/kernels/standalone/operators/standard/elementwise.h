// Operators that compute each number of their output from one of each input.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

enum Elementwise {
  ADD, SUB, MUL, DIV, MOD, MIN, MAX, EQUAL, LESS, GREATER, GREATER_OR_EQUAL, AND, OR, NOT, RELU, TANH, ERF, SIGMOID,
  ABS, SQRT, POW, CLIP, LEAKY_RELU, MISH, WHERE, CAST, EXPAND,
  // With one scale and zero point, or one for each index of an axis.
  QUANTIZE, DEQUANTIZE
};

Status run_elementwise(NodeRun& node);

// Sets the type of the output of Cast.
Status load_cast(Loading& node);
// Checks the exponent of Pow.
Status load_power(Loading& node);

}  // namespace mbert
