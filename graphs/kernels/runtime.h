// What all nodes share.
#pragma once

#include "isa.h"
#include "ort.h"

inline void* operator new(size_t, void* place) noexcept { return place; }

namespace mbert {

// The best instruction set of this processor, or the one that MBERT_KERNELS_ISA, or `force_isa`, names.
const Isa* chosen_isa(Message* why_not);

// Memory between runs: a few blocks that runs take and give back, so that none is allocated once they have grown.
class ScratchPool {
 public:
  // The memory of at least so many bytes, or null with a status.
  Status take(const Ort& ort, size_t bytes, char** memory);
  void give_back(const Ort& ort, char* memory);
  // The last node is gone: gives all memory back.
  void empty(const Ort& ort);
};

extern ScratchPool scratch_pool;

}  // namespace mbert
