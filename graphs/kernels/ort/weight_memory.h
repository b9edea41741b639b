// The allocator of packed weights. Weights are contiguous in the order in which sessions create them, which is the
// order in which runs read them, so that prefetching beyond the end of a weight fetches the next one. It asks for pages
// of 2 MB: a short text reads all weights once, and with small pages thousands of TLB misses are a part of its time.
#pragma once

#include "ort/ort.h"

namespace mbert {

// Allocates memory for a packed weight, aligned to a cache line.
Status take_weight_memory(const Ort& ort, size_t bytes, void** memory);
void release_weight_memory(const Ort& ort, void* memory);

}  // namespace mbert
