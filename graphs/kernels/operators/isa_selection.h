// Which instruction set the kernels use.
#pragma once

#include "isa/isa.h"
#include "ort/ort.h"

namespace mbert {

// The best instruction set of this processor, or the one that MBERT_KERNELS_ISA, or a call, names; null, and why, where
// that is not there.
const Isa* chosen_isa(Message* why_not);

}  // namespace mbert
