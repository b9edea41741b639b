// What a compiler's library has on other systems.
#include <stdint.h>

extern "C" {

// The product of numbers of 128 bits, by which the compiler detects an overflow of 64 bits.
__int128 __multi3(__int128 a, __int128 b) {
  constexpr uint64_t LOW = UINT32_MAX;
  const uint64_t x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  const uint64_t low = (x & LOW) * (y & LOW), left = (x >> 32) * (y & LOW), right = (x & LOW) * (y >> 32);
  const uint64_t middle = (low >> 32) + (left & LOW) + (right & LOW);
  const uint64_t high = (x >> 32) * (y >> 32) + (left >> 32) + (right >> 32) + (middle >> 32) +
                        x * static_cast<uint64_t>(b >> 64) + static_cast<uint64_t>(a >> 64) * y;
  return static_cast<__int128>(static_cast<unsigned __int128>(high) << 64 | (middle << 32 | (low & LOW)));
}
}
