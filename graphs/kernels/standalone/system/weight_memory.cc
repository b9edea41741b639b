// Memory for packed weights: as all other memory, which returns to the heap with its model.
#include "ort/weight_memory.h"

namespace mbert {

Status take_weight_memory(const Ort& ort, size_t bytes, void** memory) { return ort.allocate(bytes, memory); }

void release_weight_memory(const Ort& ort, void* memory) { ort.release(memory); }

}  // namespace mbert
