// Memory from the system, aligned to a cache line: from the C library, or in WebAssembly from a heap of our own.
#pragma once

#include <stddef.h>

namespace mbert {

void* system_allocate(size_t bytes);
void system_release(void* memory);

}  // namespace mbert
