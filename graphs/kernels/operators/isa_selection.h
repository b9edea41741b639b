// Chooses the instruction set of new nodes.
#pragma once

#include "isa/isa.h"
#include "ort/ort.h"

namespace mbert {

// Returns the instruction set that a call of force_isa named, or the one that MBERT_KERNELS_ISA names, or
// the fastest one that this processor supports. Returns null, with the reason in `why_not`, where the named one is
// missing.
const Isa* chosen_isa(Message* why_not);

// Returns an instruction set of this build by its index, the fastest first; null after the last.
const Isa* known_isa(int index);

// Sets the instruction set of new nodes by its name; null restores the default. Returns whether it is available.
bool force_isa(const char* name);

}  // namespace mbert
