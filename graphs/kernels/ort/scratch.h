// Memory between runs.
#pragma once

#include "ort/ort.h"

namespace mbert {

// A few blocks that runs take and give back, so that none is allocated once they have grown.
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
