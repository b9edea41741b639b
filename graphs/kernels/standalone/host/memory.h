// The memory of the runtime, aligned to a cache line and counted.
#pragma once

#include "ort/ort.h"

struct OrtStatus {
  mbert::Message message;
};

namespace mbert {

// Returns null where no memory is left. The memory is not cleared.
void* allocate_memory(size_t bytes);
void release_memory(void* memory);
// Releases the first bytes of a piece of memory, or fewer, and returns what is left. May write to all of these bytes.
void* release_front(void* memory, size_t bytes);
// Makes a piece of memory larger, in its place if that is possible, else elsewhere; where no memory is left, returns null
// and leaves it. Of null: allocates one.
void* extend_memory(void* memory, size_t bytes);
// Returns the bytes that are allocated now.
size_t allocated_memory();

// Returns the message of the last error of this thread, without its text: `return fail(failure() << …)`.
Message& failure();
// Sets the last error of this thread, and returns it.
Status fail(const Message& message);
// Returns the text of the last error of this thread.
const char* last_error();
Status out_of_memory(size_t bytes);

Status allocate_elements(size_t count, size_t size, void** array);
// Allocates an array of `count` elements, which are not initialized.
template <class Element>
Status allocate_array(size_t count, Element** array) {
  return allocate_elements(count, sizeof(Element), reinterpret_cast<void**>(array));
}

}  // namespace mbert
