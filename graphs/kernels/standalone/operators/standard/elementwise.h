// Operators that compute each number of their output from one of each input.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

enum Elementwise {
  ADD, SUB, MUL, DIV, MOD, MIN, MAX, EQUAL, LESS, GREATER, GREATER_OR_EQUAL, AND, OR, NOT, RELU, TANH
};

Status run_elementwise(NodeRun& node);
Status run_where(NodeRun& node);
Status run_cast(NodeRun& node);
Status run_expand(NodeRun& node);

// Sets the type of the output of Cast.
Status load_cast(Loading& node);

}  // namespace mbert
