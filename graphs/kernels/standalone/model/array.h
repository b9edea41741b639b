// Memory for a model's description: an array that grows, and an arena that is released as a whole.
#pragma once

#include "standalone/host/memory.h"
#include "standalone/model/view.h"

namespace mbert {

// Doubles the room of an array that is full.
Status grow_array(void** data, size_t* room, size_t element);

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
    if (size_ == room_) TRY(grow_array(reinterpret_cast<void**>(&data_), &room_, sizeof(Element)));
    data_[size_++] = element;
    return nullptr;
  }

 private:

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
    return take_elements(count, sizeof(Element), reinterpret_cast<void**>(array));
  }
  // Copies a text, and ends it with NUL. A longer one than `longest` is cut off.
  Status copy(const View& text, const char** copied, size_t longest = SIZE_MAX);

 private:
  struct Chunk {
    Chunk* older;
    size_t room, used;  // bytes behind the header
  };

  Status take_elements(size_t count, size_t size, void** memory);

  Chunk* newest_ = nullptr;
};

}  // namespace mbert
