// Memory from the system, aligned to a cache line: from the C library, or in WebAssembly from a heap of our own.
#pragma once

#include <stddef.h>

namespace mbert {

// Bytes before a piece of memory that belong to it.
constexpr size_t SYSTEM_HEADER = 64;

void* system_allocate(size_t bytes);
void system_release(void* memory);
// Releases the first bytes of a piece of memory, whole cache lines and more than SYSTEM_HEADER, and returns what is left;
// null where the system has nothing like that.
void* system_release_front(void* memory, size_t bytes);
// Makes a piece of memory larger, to so many bytes, in its place; returns false where that is not possible.
bool system_extend(void* memory, size_t bytes);

}  // namespace mbert
