#include "standalone/operators/kernels.h"

#include "operators/nodes/nodes.h"

namespace mbert {

const OrtCustomOp* find_kernel(const View& type) {
  static constexpr const OrtCustomOp* const KERNELS[] = {
      &stacked_ffn_op,     &stacked_ffn_int8_op,   &bottleneck_attention_op, &bottleneck_attention_int8_op,
      &encoder_op,         &encoder_int8_op,       &encoder_float16_op,      &embeddings_op,
      &embeddings_int8_op, &embeddings_float16_op, &tokenize_op,             &tokenize_pair_op,
      &tokenize_windows_op, &tokenize_pair_windows_op};
  for (const OrtCustomOp* kernel : KERNELS)
    if (type.is(kernel->GetName(kernel))) return kernel;
  return nullptr;
}

}  // namespace mbert
