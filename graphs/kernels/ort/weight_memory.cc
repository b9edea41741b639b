#include "ort/weight_memory.h"

#include "isa/isa.h"

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
void ask_for_large_pages(void* memory, size_t bytes) {
  [[maybe_unused]] constexpr long HUGE = 14;
#if defined(__linux__) && defined(__x86_64__)
  constexpr long MADVISE = 28;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(MADVISE), "D"(memory), "S"(bytes), "d"(HUGE)
                   : "rcx", "r11", "memory");
#elif defined(__linux__) && defined(__aarch64__)
  register long number __asm__("x8") = 233;
  register void* first __asm__("x0") = memory;
  register size_t second __asm__("x1") = bytes;
  register long third __asm__("x2") = HUGE;
  __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third) : "memory");
#else
  (void)memory, (void)bytes;
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
