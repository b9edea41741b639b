#include "standalone/model/array.h"

// The least bytes of a chunk. With none, which sanitizers are built with, each array is memory of its own.
#ifndef MBERT_CHUNK
#define MBERT_CHUNK 8192
#endif

namespace mbert {

Status grow_array(void** data, size_t* room, size_t element) {
  constexpr size_t FIRST = 16;
  const size_t before = *room;
  void* larger = nullptr;
  TRY(allocate_elements(before ? 2 * before : FIRST, element, &larger));
  if (before) __builtin_memcpy(larger, *data, before * element);
  release_memory(*data);
  *data = larger;
  *room = before ? 2 * before : FIRST;
  return nullptr;
}

Status Arena::copy(const View& text, const char** copied, size_t longest) {
  const size_t length = text.size < longest ? text.size : longest;
  char* memory = nullptr;
  TRY(take(length + 1, &memory));
  for (size_t i = 0; i < length; i++) memory[i] = text.data[i];
  memory[length] = 0;
  *copied = memory;
  return nullptr;
}

Status Arena::take_elements(size_t count, size_t size, void** memory) {
  constexpr size_t ALIGNMENT = 16, LEAST = MBERT_CHUNK, HEADER = (sizeof(Chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4) return out_of_memory(SIZE_MAX);
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
