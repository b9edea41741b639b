// The library's version, and the instruction set of new nodes.
#include "library/exported.h"
#include "operators/isa_selection.h"

const char* mbert_kernels_version() { return MBERT_KERNELS_VERSION; }

const char* mbert_kernels_isa() {
  mbert::Message why_not;
  const mbert::Isa* isa = mbert::chosen_isa(&why_not);
  return isa ? isa->name : nullptr;
}

const char* mbert_kernels_known(int index) {
  const mbert::Isa* isa = mbert::known_isa(index);
  return isa ? isa->name : nullptr;
}

int mbert_kernels_has(int index) {
  const mbert::Isa* isa = mbert::known_isa(index);
  return isa && isa->is_supported();
}

int mbert_kernels_force_isa(const char* name) { return !mbert::force_isa(name); }
