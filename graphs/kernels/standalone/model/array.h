// Memory for a model's description: an array that grows, and an arena that is released as a whole.
#pragma once

#include "standalone/host/memory.h"
#include "standalone/model/view.h"

namespace mbert {

// An array of trivial elements.
template <class Element>
class Array {
 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { release_memory(data_); }

  size_t size() const { return size_; }
  Element& operator[](size_t index) { return data_[index]; }
  const Element& operator[](size_t index) const { return data_[index]; }
  Element* begin() { return data_; }
  Element* end() { return data_ + size_; }

  Status add(const Element& element) {
    if (size_ == room_) TRY(grow());
    data_[size_++] = element;
    return nullptr;
  }

 private:
  Status grow() {
    const size_t room = room_ ? 2 * room_ : 16;
    Element* larger = nullptr;
    TRY(allocate_array(room, &larger));
    for (size_t i = 0; i < size_; i++) larger[i] = data_[i];
    release_memory(data_);
    data_ = larger;
    room_ = room;
    return nullptr;
  }

  Element* data_ = nullptr;
  size_t size_ = 0, room_ = 0;
};

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    while (newest_) {
      Chunk* older = newest_->older;
      release_memory(newest_);
      newest_ = older;
    }
  }

  // Allocates an array of trivial elements, which are not initialized.
  template <class Element>
  Status take(size_t count, Element** array) {
    size_t bytes = 0;
    void* memory = nullptr;
    if (__builtin_mul_overflow(count, sizeof(Element), &bytes)) return out_of_memory(SIZE_MAX);
    TRY(take_bytes(bytes, &memory));
    *array = static_cast<Element*>(memory);
    return nullptr;
  }
  // Copies a text, and ends it with NUL. A longer one than `longest` is cut off.
  Status copy(const View& text, const char** copied, size_t longest = SIZE_MAX) {
    const size_t length = text.size < longest ? text.size : longest;
    char* memory = nullptr;
    TRY(take(length + 1, &memory));
    for (size_t i = 0; i < length; i++) memory[i] = text.data[i];
    memory[length] = 0;
    *copied = memory;
    return nullptr;
  }

 private:
  struct Chunk {
    Chunk* older;
    size_t room, used;  // bytes behind the header
  };

  Status take_bytes(size_t bytes, void** memory);

  Chunk* newest_ = nullptr;
};

}  // namespace mbert
