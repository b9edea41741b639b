// A heap in the memory of a WebAssembly module: a list of free blocks by address, of which the first that is large enough
// is taken (first fit). Neighbouring free blocks are joined, so memory that has been released serves requests of any size.
#include <stdint.h>

#include "isa/isa.h"
#include "standalone/system/memory.h"

extern "C" unsigned char __heap_base;

namespace mbert {

namespace {

// A block's header takes a cache line, so that what follows is aligned.
static_assert(SYSTEM_HEADER == CACHE_LINE, "the memory of a block begins behind its header");
struct Block {
  size_t bytes;  // with the header
  Block* next;   // of a free block: the next one by address
};

constexpr size_t PAGE = 65536;
// The memory grows by at least this much.
constexpr size_t LEAST_GROWTH = 16 * PAGE;

Block* first_free = nullptr;
bool is_started = false, busy = false;

struct Lock {
  Lock() {
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
    }
  }
  ~Lock() { __atomic_clear(&busy, __ATOMIC_RELEASE); }
};

char* end_of(Block* block) { return reinterpret_cast<char*>(block) + block->bytes; }

void insert(Block* block) {
  Block* before = nullptr;
  Block* after = first_free;
  while (after && after < block) before = after, after = after->next;
  block->next = after;
  if (after && end_of(block) == reinterpret_cast<char*>(after)) {
    block->bytes += after->bytes;
    block->next = after->next;
  }
  if (!before) {
    first_free = block;
  } else if (end_of(before) == reinterpret_cast<char*>(block)) {
    before->bytes += block->bytes;
    before->next = block->next;
  } else {
    before->next = block;
  }
}

void insert_region(uintptr_t start, uintptr_t end) {
  start = (start + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  if (end < start + 2 * CACHE_LINE) return;
  Block* block = reinterpret_cast<Block*>(start);
  block->bytes = (end - start) / CACHE_LINE * CACHE_LINE;
  insert(block);
}

// The block of a piece of memory.
Block* block_of(void* memory) { return reinterpret_cast<Block*>(static_cast<char*>(memory) - SYSTEM_HEADER); }

// The bytes of a block for a piece of memory.
size_t block_bytes(size_t bytes) { return round_up_to_cache_line(bytes) + SYSTEM_HEADER; }

bool grow(size_t bytes) {
  const size_t pages = ((bytes > LEAST_GROWTH ? bytes : LEAST_GROWTH) + PAGE - 1) / PAGE;
  const size_t before = __builtin_wasm_memory_grow(0, pages);
  if (before == SIZE_MAX) return false;
  // The last byte of 4 GB is left out, so that the end of the region is a number.
  const size_t after = before + pages;
  insert_region(before * PAGE, after >= PAGE ? SIZE_MAX - CACHE_LINE : after * PAGE);
  return true;
}

// Takes the first free block that is large enough; where `place` is not null, only the one that is there.
__attribute__((noinline)) Block* take(size_t bytes, const void* place) {
  for (Block **link = &first_free, *block = first_free; block; link = &block->next, block = block->next) {
    if (block->bytes < bytes || (place && block != place)) continue;
    if (block->bytes - bytes >= 2 * CACHE_LINE) {
      Block* rest = reinterpret_cast<Block*>(reinterpret_cast<char*>(block) + bytes);
      *rest = {block->bytes - bytes, block->next};
      block->bytes = bytes;
      *link = rest;
    } else {
      *link = block->next;
    }
    return block;
  }
  return nullptr;
}

// Memory grows at its end, where a block that is extended often lies.
__attribute__((noinline)) Block* take_or_grow(size_t bytes, const void* place) {
  Block* block = take(bytes, place);
  return block || !grow(bytes) ? block : take(bytes, place);
}

}  // namespace

void* system_allocate(size_t bytes) {
  const Lock lock;
  if (!is_started) {
    is_started = true;
    insert_region(reinterpret_cast<uintptr_t>(&__heap_base), __builtin_wasm_memory_size(0) * PAGE);
  }
  const size_t needed = block_bytes(bytes);
  Block* block = take_or_grow(needed, nullptr);
  return block ? reinterpret_cast<char*>(block) + SYSTEM_HEADER : nullptr;
}

void system_release(void* memory) {
  const Lock lock;
  insert(block_of(memory));
}

void* system_release_front(void* memory, size_t bytes) {
  const Lock lock;
  Block* block = block_of(memory);
  char* rest = static_cast<char*>(memory) + bytes;
  block_of(rest)->bytes = block->bytes - bytes;
  block->bytes = bytes;
  insert(block);
  return rest;
}

bool system_extend(void* memory, size_t bytes) {
  const Lock lock;
  Block* block = block_of(memory);
  const size_t needed = block_bytes(bytes) - block->bytes;
  const Block* more = take_or_grow(needed, end_of(block));
  if (more) block->bytes += more->bytes;
  return more;
}

}  // namespace mbert
