#include "standalone/host/memory.h"

#include "isa/isa.h"
#include "standalone/system/memory.h"

namespace mbert {

namespace {

size_t allocated = 0;

// A WebAssembly module has one instance for each thread, and only the first one runs code that can fail.
#if defined(__wasm__)
OrtStatus last;
#else
thread_local OrtStatus last;
#endif

// The bytes before a piece of memory that hold its size.
constexpr size_t HEADER = CACHE_LINE;

}  // namespace

void* allocate_memory(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  char* whole = static_cast<char*>(system_allocate(bytes + HEADER));
  if (!whole) return nullptr;
  *reinterpret_cast<size_t*>(whole) = bytes;
  __atomic_add_fetch(&allocated, bytes, __ATOMIC_RELAXED);
  return whole + HEADER;
}

void release_memory(void* memory) {
  if (!memory) return;
  char* whole = static_cast<char*>(memory) - HEADER;
  __atomic_sub_fetch(&allocated, *reinterpret_cast<size_t*>(whole), __ATOMIC_RELAXED);
  system_release(whole);
}

void* release_front(void* memory, size_t bytes) {
  const size_t released = bytes / CACHE_LINE * CACHE_LINE;
  if (released < HEADER + SYSTEM_HEADER) return memory;
  char* whole = static_cast<char*>(memory) - HEADER;
  char* rest = static_cast<char*>(system_release_front(whole, released));
  if (!rest) return memory;
  // The new header lies in what was released, too.
  *reinterpret_cast<size_t*>(rest) = *reinterpret_cast<size_t*>(whole) - released;
  __atomic_sub_fetch(&allocated, released, __ATOMIC_RELAXED);
  return rest + HEADER;
}

void* extend_memory(void* memory, size_t bytes) {
  if (!memory) return allocate_memory(bytes);
  if (bytes > SIZE_MAX / 2) return nullptr;
  char* whole = static_cast<char*>(memory) - HEADER;
  size_t& own = *reinterpret_cast<size_t*>(whole);
  if (bytes <= own) return memory;
  if (system_extend(whole, bytes + HEADER)) {
    __atomic_add_fetch(&allocated, bytes - own, __ATOMIC_RELAXED);
    own = bytes;
    return memory;
  }
  void* larger = allocate_memory(bytes);
  if (!larger) return nullptr;
  __builtin_memcpy(larger, memory, own);
  release_memory(memory);
  return larger;
}

size_t allocated_memory() { return __atomic_load_n(&allocated, __ATOMIC_RELAXED); }

Message& failure() { return last.message.clear(); }

Status fail(const Message& message) {
  if (&message != &last.message) last.message = message;
  return &last;
}

const char* last_error() { return last.message.text(); }

Status allocate_elements(size_t count, size_t size, void** array) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return out_of_memory(SIZE_MAX);
  *array = allocate_memory(bytes);
  return *array ? nullptr : out_of_memory(bytes);
}

Status out_of_memory(size_t bytes) {
  return fail(failure() << "no memory for " << static_cast<int64_t>(bytes / 1024)
                        << " KB is left; expected a smaller model or fewer texts");
}

}  // namespace mbert
