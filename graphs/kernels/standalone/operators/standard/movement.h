// Operators that move numbers, or compute shapes.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

Status run_shape(NodeRun& node);
Status run_reshape(NodeRun& node);
Status run_squeeze(NodeRun& node);
Status run_unsqueeze(NodeRun& node);
Status run_identity(NodeRun& node);
Status run_concat(NodeRun& node);
Status run_gather(NodeRun& node);
Status run_slice(NodeRun& node);
Status run_pad(NodeRun& node);
Status run_split(NodeRun& node);
Status run_transpose(NodeRun& node);
Status run_range(NodeRun& node);

// Copies a matrix [rows, columns] to [columns, rows].
void transpose_elements(const void* from, size_t rows, size_t columns, size_t element, void* to);

// Returns an axis counted from the first one, or an error where a tensor of this rank has none.
Status resolve_axis(int64_t axis, int rank, int* resolved);

}  // namespace mbert
