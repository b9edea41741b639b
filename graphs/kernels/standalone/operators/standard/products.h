// Matrix products, and the quantization of their inputs.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

// Packs the weight of Gemm or MatMul, where it is a constant, for the kernels' products.
Status load_product(Loading& node);
void destroy_product(void* state);
Status run_gemm(NodeRun& node);
Status run_matmul(NodeRun& node);

Status run_dynamic_quantize(NodeRun& node);
Status run_matmul_integer(NodeRun& node);

}  // namespace mbert
