// What ends a campaign: something that the runtime must not do.
#pragma once

#include <cstdio>
#include <cstdlib>

#define EXPECT(condition, ...)                       \
  do {                                               \
    if (!(condition)) {                              \
      std::fprintf(stderr, "FINDING: " __VA_ARGS__); \
      std::fputc('\n', stderr);                      \
      std::abort();                                  \
    }                                                \
  } while (false)
