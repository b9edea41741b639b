// Bytes of a file, or of a name in it.
#pragma once

#include "ort/ort.h"

namespace mbert {

struct View {
  const char* data = nullptr;
  size_t size = 0;

  View() = default;
  View(const char* start, size_t length) : data(start), size(length) {}
  explicit View(const char* text) : data(text), size(0) {
    while (text[size]) size++;
  }

  bool operator==(const View& other) const {
    if (size != other.size) return false;
    for (size_t i = 0; i < size; i++)
      if (data[i] != other.data[i]) return false;
    return true;
  }
  bool is(const char* text) const { return *this == View(text); }
};

// The longest part of a name that a message shows.
constexpr size_t SHOWN = 100;

inline Message& operator<<(Message& message, const View& text) {
  char shown[SHOWN + 1];
  const size_t length = text.size < SHOWN ? text.size : SHOWN;
  for (size_t i = 0; i < length; i++) {
    const char letter = text.data[i];
    shown[i] = letter < ' ' || letter > '~' ? '?' : letter;  // one line of UTF-8, whatever the file has
  }
  shown[length] = 0;
  return message << static_cast<const char*>(shown);
}
inline Message& operator<<(Message&& message, const View& text) { return message << text; }

}  // namespace mbert
