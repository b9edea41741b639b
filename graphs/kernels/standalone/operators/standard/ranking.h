// Operators whose outputs depend on the order, the equality or the places of numbers.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

Status run_top_k(NodeRun& node);
Status run_unique(NodeRun& node);
Status run_nonzero(NodeRun& node);
Status run_scatter_elements(NodeRun& node);

}  // namespace mbert
