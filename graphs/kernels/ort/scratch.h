// Scratch memory, kept from one run to the next.
#pragma once

#include "ort/ort.h"

namespace mbert {

// A lock-free pool of a few blocks. Runs take and give back blocks, so that none is allocated once they have grown.
class ScratchPool {
 public:
  // Takes a block of at least `bytes` bytes; allocates one if the pool has none that large.
  Status take(const Ort& ort, uint64_t bytes, char** memory);
  void give_back(const Ort& ort, char* memory);
  // Frees all blocks in the pool.
  void empty(const Ort& ort);
};

extern ScratchPool scratch_pool;

}  // namespace mbert
