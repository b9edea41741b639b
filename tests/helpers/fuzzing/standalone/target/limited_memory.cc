// Memory of the runtime from the C library, up to a limit: what a small file asks for beyond it must be refused.
#include "limited_memory.h"

#include <sanitizer/asan_interface.h>

#include <cstdlib>
#include <map>

#include "isa/isa.h"
#include "standalone/host/memory.h"
#include "standalone/system/memory.h"

namespace {

size_t most = 0;
// Pieces whose front was released, by what is left of each.
std::map<void*, void*> whole_of;

}  // namespace

void limit_memory(size_t bytes) { most = bytes; }

namespace mbert {

void* system_allocate(size_t bytes) {
  const size_t allocated = allocated_memory();
  if (bytes > most || allocated > most - bytes) return nullptr;
  void* memory = nullptr;
  return posix_memalign(&memory, CACHE_LINE, bytes) ? nullptr : memory;
}

void system_release(void* memory) {
  const auto found = whole_of.find(memory);
  std::free(found == whole_of.end() ? memory : found->second);
  if (found != whole_of.end()) whole_of.erase(found);
}

// The sanitizer reports whoever reads the front from now on.
void* system_release_front(void* memory, size_t bytes) {
  void* rest = static_cast<char*>(memory) + bytes;
  const auto found = whole_of.find(memory);
  whole_of[rest] = found == whole_of.end() ? memory : found->second;
  if (found != whole_of.end()) whole_of.erase(memory);
  // The header is read once more.
  ASAN_POISON_MEMORY_REGION(static_cast<char*>(memory) + CACHE_LINE, bytes - CACHE_LINE);
  return rest;
}

bool system_extend(void*, size_t) { return false; }

}  // namespace mbert
