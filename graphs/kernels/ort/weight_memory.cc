#include "ort/weight_memory.h"

#include "isa/isa.h"

namespace mbert {

namespace {

// A sanitizer sees where a piece ends only if it has a chunk of its own.
#ifndef MBERT_PAGE
#define MBERT_PAGE (size_t{2} << 20)
#endif
constexpr size_t PAGE = MBERT_PAGE, CHUNK = 4 * PAGE;

// At the beginning of its own memory, the rest of which is given out piece by piece. It goes with the last of them.
struct Chunk {
  Chunk *before, *after;
  void* whole;
  size_t size, used;
  int64_t pieces;
};

// Before each piece stands which chunk it is of.
constexpr size_t HEADER = CACHE_LINE;
static_assert(sizeof(Chunk) <= CACHE_LINE);

Chunk* newest = nullptr;
bool busy = false;

// Sessions are made and destroyed by any thread, for moments here.
struct Lock {
  Lock() {
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
    }
  }
  ~Lock() { __atomic_clear(&busy, __ATOMIC_RELEASE); }
};

// Asks Linux for pages of 2 MB; where there are none, nothing is lost.
void ask_for_large_pages(void* memory, size_t bytes) {
  [[maybe_unused]] constexpr long HUGE = 14;
#if defined(__linux__) && defined(__x86_64__)
  constexpr long MADVISE = 28;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(MADVISE), "D"(memory), "S"(bytes), "d"(HUGE) : "rcx", "r11", "memory");
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
  void* whole = nullptr;
  TRY(ort.allocate(size + PAGE, &whole));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(whole) + PAGE - 1) / PAGE * PAGE;
  ask_for_large_pages(reinterpret_cast<void*>(start), size);
  Chunk* chunk = reinterpret_cast<Chunk*>(start);
  *chunk = {newest, nullptr, whole, size, CACHE_LINE, 0};
  if (newest) newest->after = chunk;
  newest = chunk;
  return nullptr;
}

}  // namespace

Status take_weight_memory(const Ort& ort, size_t bytes, void** memory) {
  const Lock lock;
  const size_t needed = HEADER + in_lines(bytes);
  if (!newest || newest->size - newest->used < needed) TRY(new_chunk(ort, needed));
  char* piece = reinterpret_cast<char*>(newest) + newest->used;
  newest->used += needed;
  newest->pieces++;
  *reinterpret_cast<Chunk**>(piece) = newest;
  *memory = piece + HEADER;
  return nullptr;
}

void give_weight_memory_back(const Ort& ort, void* memory) {
  if (!memory) return;
  const Lock lock;
  Chunk* chunk = *reinterpret_cast<Chunk**>(static_cast<char*>(memory) - HEADER);
  if (--chunk->pieces) return;
  if (chunk->before) chunk->before->after = chunk->after;
  if (chunk->after) chunk->after->before = chunk->before;
  if (newest == chunk) newest = chunk->before;
  ort.release(chunk->whole);
}

}  // namespace mbert
