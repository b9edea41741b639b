#include "isa/processor.h"

#include <stdint.h>

namespace mbert {

bool always() { return true; }

#if defined(__x86_64__)

namespace {

struct Registers {
  uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
  return r;
}

bool bit(uint32_t word, int number) { return (word >> number) & 1; }

// XCR0: the register states that the operating system saves on a context switch.
uint32_t xcr0() {
  if (!bit(cpuid(1, 0).c, 27)) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr uint32_t YMM = 0x6, ZMM = 0xe6;

Registers features(uint32_t subleaf) {
  return cpuid(0, 0).a >= 7 && cpuid(7, 0).a >= subleaf ? cpuid(7, subleaf) : Registers{};
}

}  // namespace

bool has_avx2() {
  const uint32_t one = cpuid(1, 0).c;
  return (xcr0() & YMM) == YMM && bit(one, 28) && bit(one, 12) && bit(one, 29) && bit(features(0).b, 5);
}

bool has_avx512() {
  const uint32_t seven = features(0).b;
  return has_avx2() && (xcr0() & ZMM) == ZMM && bit(seven, 16) && bit(seven, 17) && bit(seven, 30) && bit(seven, 31);
}

bool has_avx512_vnni() { return has_avx512() && bit(features(0).c, 11); }

bool has_avx_vnni() { return has_avx2() && bit(features(1).a, 4); }

#if MBERT_AMX
static bool request_tiles() {
  constexpr long ARCH_PRCTL = 158, REQUEST = 0x1023, TILES = 18;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(ARCH_PRCTL), "D"(REQUEST), "S"(TILES) : "rcx", "r11", "memory");
  return result == 0;
}

bool has_amx() {
  constexpr uint32_t TILES = 0x60000;
  const uint32_t seven = features(0).d;
  return has_avx512_vnni() && bit(seven, 24) && bit(seven, 25) && (xcr0() & TILES) == TILES && request_tiles();
}
#endif

#elif defined(__aarch64__)

#if defined(__linux__)
// Declared here, because the library has no C headers: every C library on Linux has it. The bits are Linux's.
extern "C" unsigned long getauxval(unsigned long);
constexpr unsigned long HWCAP = 16, HWCAP2 = 26, FLOAT16 = 1ul << 10, DOTPROD = 1ul << 20, I8MM = 1ul << 13;
static bool has_float16() { return getauxval(HWCAP) & FLOAT16; }
bool has_dotprod() { return has_float16() && getauxval(HWCAP) & DOTPROD; }
bool has_i8mm() { return has_float16() && getauxval(HWCAP2) & I8MM; }
#elif defined(__APPLE__)
extern "C" int sysctlbyname(const char*, void*, unsigned long*, void*, unsigned long);
static bool has(const char* feature) {
  int found = 0;
  unsigned long size = sizeof(found);
  return sysctlbyname(feature, &found, &size, nullptr, 0) == 0 && found;
}
// All of Apple's processors with dot products have float16 arithmetic.
bool has_dotprod() { return has("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return has("hw.optional.arm.FEAT_I8MM"); }
#elif defined(_WIN32)
// Versions of Windows that do not know a number answer no. All processors of Windows with dot products have float16
// arithmetic.
extern "C" __declspec(dllimport) int __stdcall IsProcessorFeaturePresent(unsigned long);
constexpr unsigned long DOTPROD = 43, I8MM = 66;
bool has_dotprod() { return IsProcessorFeaturePresent(DOTPROD); }
bool has_i8mm() { return has_dotprod() && IsProcessorFeaturePresent(I8MM); }
#else
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#endif

#endif

}  // namespace mbert
