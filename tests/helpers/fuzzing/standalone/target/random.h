// A generator of pseudo-random numbers (SplitMix64), so that all of a trial follows from one number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
  }
  // Returns a number below `end`, which is above 0.
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(next() % end); }
  bool one_in(std::size_t count) { return below(count) == 0; }

  template <class Items>
  const auto& of(const Items& items) {
    return items[below(std::size(items))];
  }

 private:
  uint64_t state_;
};

// Integers at which readers behave in another way.
constexpr int64_t INTERESTING[] = {
    0, 1, -1, 2, 3, 4, 7, 8, 9, 16, 63, 64, 127, 128, 255, 256, -2, 1023, 65535, 65536, 1 << 20, 1 << 24, -128,
    INT32_MAX, INT32_MIN, int64_t{1} << 31, int64_t{1} << 32, int64_t{1} << 40, INT64_MAX, INT64_MIN,
};
