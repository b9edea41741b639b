// The operators' descriptions for onnxruntime.
#pragma once

#include "ort/abi.h"

namespace mbert {

extern const OrtCustomOp stacked_ffn_op, stacked_ffn_int8_op, bottleneck_attention_op, bottleneck_attention_int8_op,
    encoder_op, encoder_int8_op, encoder_float16_op, embeddings_op, embeddings_int8_op, embeddings_float16_op, tokenize_op,
    tokenize_pair_op, tokenize_windows_op, tokenize_pair_windows_op;

}  // namespace mbert
