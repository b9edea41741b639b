// What computes a node: a native kernel, or a standard operator.
#pragma once

#include "standalone/model/view.h"

namespace mbert {

constexpr const char* DOMAIN = "mbert";

inline bool is_standard_domain(const View& domain) { return !domain.size || domain.is("ai.onnx"); }

// Returns the native kernel of an operator of the domain mbert; null where there is none.
const OrtCustomOp* find_kernel(const View& type);

struct Operator;
// Returns a standard operator; null where there is none.
const Operator* find_operator(const View& type);

}  // namespace mbert
