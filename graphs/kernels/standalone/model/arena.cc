#include "standalone/model/array.h"

namespace mbert {

Status Arena::take_bytes(size_t bytes, void** memory) {
  constexpr size_t ALIGNMENT = 16, LEAST = 8192, HEADER = (sizeof(Chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (bytes > SIZE_MAX / 4) return out_of_memory(bytes);
  const size_t needed = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (!newest_ || newest_->room - newest_->used < needed) {
    const size_t room = needed > LEAST ? needed : LEAST;
    char* chunk = nullptr;
    TRY(allocate_array(HEADER + room, &chunk));
    Chunk* created = reinterpret_cast<Chunk*>(chunk);
    *created = {newest_, room, 0};
    newest_ = created;
  }
  *memory = reinterpret_cast<char*>(newest_) + HEADER + newest_->used;
  newest_->used += needed;
  return nullptr;
}

}  // namespace mbert
