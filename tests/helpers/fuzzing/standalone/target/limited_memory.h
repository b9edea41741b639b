// The limit of the runtime's memory, in place of the system's.
#pragma once

#include <cstddef>

// Bytes that the runtime may have; beyond them, it gets no memory.
void limit_memory(size_t bytes);
