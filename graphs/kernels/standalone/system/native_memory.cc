// Memory from the C library.
#include "isa/isa.h"
#include "standalone/system/memory.h"

extern "C" int posix_memalign(void**, size_t, size_t);
extern "C" void free(void*);

namespace mbert {

void* system_allocate(size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, CACHE_LINE, bytes) ? nullptr : memory;
}

void system_release(void* memory) { free(memory); }

void* system_release_front(void*, size_t) { return nullptr; }

bool system_extend(void*, size_t) { return false; }

}  // namespace mbert
