#include <stddef.h>

// The two functions of the C library that compilers call for assignments and loops, so that the library links none.
extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, size_t count) {
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
#pragma clang loop vectorize(enable)
  for (size_t i = 0; i < count; i++) t[i] = f[i];
  return to;
}

void* memset(void* to, int value, size_t count) {
  char* t = static_cast<char*>(to);
#pragma clang loop vectorize(enable)
  for (size_t i = 0; i < count; i++) t[i] = static_cast<char>(value);
  return to;
}
}
