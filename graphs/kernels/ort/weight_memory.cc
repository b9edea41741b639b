#include "ort/weight_memory.h"

#include "isa/isa.h"
#include "ort/system_call.h"

namespace mbert {

namespace {

// Tests with a sanitizer set a small page: it detects an overrun only if each weight has its own chunk.
#ifndef MBERT_PAGE
#define MBERT_PAGE (size_t{2} << 20)
#endif
constexpr size_t PAGE = MBERT_PAGE, CHUNK = 4 * PAGE;

// The header of a chunk, whose remaining memory is handed out in pieces. A chunk is freed with the last of its pieces.
struct Chunk {
  Chunk *previous, *next;
  void* allocation;
  size_t size, used;
  int64_t pieces;
};

// The bytes before a piece that hold the pointer to its chunk.
constexpr size_t HEADER = CACHE_LINE;
static_assert(sizeof(Chunk) <= CACHE_LINE);

Chunk* newest = nullptr;
bool busy = false;

// A spin lock: any thread may create and destroy sessions, and holds it only for the bookkeeping below.
struct Lock {
  Lock() {
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
    }
  }
  ~Lock() { __atomic_clear(&busy, __ATOMIC_RELEASE); }
};

// Asks Linux for pages of 2 MB (transparent huge pages); a failure is ignored.
void ask_for_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if MBERT_SYSTEM_CALLS
  constexpr long HUGE = 14;
  system_call(MADVISE, reinterpret_cast<long>(memory), static_cast<long>(bytes), HUGE);
#endif
}

Status new_chunk(const Ort& ort, size_t needed) {
  const size_t size = (needed + CACHE_LINE + CHUNK - 1) / CHUNK * CHUNK;
  void* allocation = nullptr;
  TRY(ort.allocate(size + PAGE, &allocation));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(allocation) + PAGE - 1) / PAGE * PAGE;
  ask_for_large_pages(reinterpret_cast<void*>(start), size);
  Chunk* chunk = reinterpret_cast<Chunk*>(start);
  *chunk = {newest, nullptr, allocation, size, CACHE_LINE, 0};
  if (newest) newest->next = chunk;
  newest = chunk;
  return nullptr;
}

}  // namespace

Status take_weight_memory(const Ort& ort, size_t bytes, void** memory) {
  const Lock lock;
  const size_t needed = HEADER + round_up_to_cache_line(bytes);
  if (!newest || newest->size - newest->used < needed) TRY(new_chunk(ort, needed));
  char* piece = reinterpret_cast<char*>(newest) + newest->used;
  newest->used += needed;
  newest->pieces++;
  *reinterpret_cast<Chunk**>(piece) = newest;
  *memory = piece + HEADER;
  return nullptr;
}

void release_weight_memory(const Ort& ort, void* memory) {
  if (!memory) return;
  const Lock lock;
  Chunk* chunk = *reinterpret_cast<Chunk**>(static_cast<char*>(memory) - HEADER);
  if (--chunk->pieces) return;
  if (chunk->previous) chunk->previous->next = chunk->next;
  if (chunk->next) chunk->next->previous = chunk->previous;
  if (newest == chunk) newest = chunk->previous;
  ort.release(chunk->allocation);
}

}  // namespace mbert
