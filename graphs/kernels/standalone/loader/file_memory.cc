#include "standalone/loader/file_memory.h"

namespace mbert {

Status FileMemory::has_copied(int32_t value) {
  const size_t copied = static_cast<size_t>(value);
  if (copied >= count_ || --model_.values[copied].readers) return nullptr;
  for (; released_ <= copied; released_++) {
    Value& initializer = model_.values[released_];
    if (initializer.memory) continue;
    const char* end = static_cast<const char*>(initializer.tensor.data) + tensor_bytes(initializer.tensor);
    if (initializer.readers) TRY(own(&initializer));
    rest_ = static_cast<char*>(release_front(rest_, static_cast<size_t>(end - rest_)));
  }
  return nullptr;
}

}  // namespace mbert
