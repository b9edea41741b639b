// System calls: those of Linux without a C library; and to offer a core, on each system.
#pragma once

#include <stdint.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#define MBERT_SYSTEM_CALLS 1

namespace mbert {

#if defined(__x86_64__)
constexpr long CLOSE = 3, PREAD = 17, SCHED_YIELD = 24, MADVISE = 28, OPENAT = 257;
#else
constexpr long OPENAT = 56, CLOSE = 57, PREAD = 67, SCHED_YIELD = 124, MADVISE = 233;
#endif

// Calls the kernel. Returns its result, or a negative error number.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
#if defined(__x86_64__)
  long result;
  register long fourth __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long call __asm__("x8") = number;
  register long first __asm__("x0") = a;
  register long second __asm__("x1") = b;
  register long third __asm__("x2") = c;
  register long fourth __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(first) : "r"(call), "r"(second), "r"(third), "r"(fourth) : "memory");
  return first;
#endif
}

// Opens a file for reading. Returns its descriptor, or a negative error number.
inline int open_for_reading(const char* path) {
  constexpr long OF_WORKING_FOLDER = -100, CLOSE_ON_EXEC = 02000000;
  return static_cast<int>(system_call(OPENAT, OF_WORKING_FOLDER, reinterpret_cast<long>(path), CLOSE_ON_EXEC));
}

}  // namespace mbert

#endif

#if defined(__APPLE__)
extern "C" int sched_yield();
#elif defined(_WIN32)
extern "C" __declspec(dllimport) int __stdcall SwitchToThread();
#endif

namespace mbert {

// Lets another thread run on this one's core, if one waits.
inline void offer_core() {
#if MBERT_SYSTEM_CALLS
  system_call(SCHED_YIELD);
#elif defined(__APPLE__)
  sched_yield();
#elif defined(_WIN32)
  SwitchToThread();
#endif
}

}  // namespace mbert
