// Operators that compute numbers from all numbers along axes.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

enum Reduction { REDUCE_MAX, REDUCE_MIN, REDUCE_SUM, REDUCE_L2 };

Status run_reduction(NodeRun& node);
Status run_arg_max(NodeRun& node);
Status run_softmax(NodeRun& node);
Status run_layer_normalization(NodeRun& node);
Status run_cumulative_sum(NodeRun& node);

}  // namespace mbert
