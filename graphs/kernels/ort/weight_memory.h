// Where packed weights lie: beside each other in the order in which sessions make them, which is that in which runs read
// them, so that what is fetched ahead of a weight's end is the next one. In pages of 2 MB where the system gives them:
// a short text reads all weights once, and looking up thousands of small pages is a part of its time.
#pragma once

#include "ort/ort.h"

namespace mbert {

// Memory of so many bytes, on a cache line's border.
Status take_weight_memory(const Ort& ort, size_t bytes, void** memory);
void give_weight_memory_back(const Ort& ort, void* memory);

}  // namespace mbert
