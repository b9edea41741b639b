// Matrix products, and the quantization of their inputs.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

// Packs the constant weight of a product for the kernels.
Status load_gemm(Loading& node);
Status load_matmul(Loading& node);
Status load_matmul_integer(Loading& node);
void destroy_product(void* state);

Status run_gemm(NodeRun& node);
Status run_matmul(NodeRun& node);
Status run_matmul_integer(NodeRun& node);
Status run_dynamic_quantize(NodeRun& node);

}  // namespace mbert
