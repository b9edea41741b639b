// What a library for Windows has in place of the C runtime's start-up code: its entry point, and the stack probes that
// compilers call. It needs KERNEL32.dll alone, so that it loads beside any C runtime.
#if defined(_WIN32)

#include "library/registration.h"

// Windows calls it when it loads and unloads the library, and for threads. `at_exit` is null unless the process ends,
// where onnxruntime may be gone already.
extern "C" int __stdcall DllMainCRTStartup(void*, unsigned long reason, void* at_exit) {
  constexpr unsigned long UNLOADED = 0;
  if (reason == UNLOADED && !at_exit) mbert::release_domains();
  return 1;
}

// A function with more than a page of local variables first touches each page of them in order, from above, because
// Windows commits a stack's memory page by page. All registers are preserved but those of a call (x16, x17).
#if defined(__x86_64__)
// rax: bytes, which the caller then subtracts from rsp.
__asm__(
    ".text\n"
    ".globl ___chkstk_ms\n"
    "___chkstk_ms:\n"
    "  pushq %rcx\n"
    "  pushq %rax\n"
    "  leaq 24(%rsp), %rcx\n"
    "1:\n"
    "  subq $4096, %rcx\n"
    "  testl %eax, (%rcx)\n"
    "  subq $4096, %rax\n"
    "  ja 1b\n"
    "  popq %rax\n"
    "  popq %rcx\n"
    "  ret\n");
#elif defined(__aarch64__)
// x15: bytes / 16, which the caller then subtracts from sp.
__asm__(
    ".text\n"
    ".globl __chkstk\n"
    "__chkstk:\n"
    "  mov x16, sp\n"
    "  lsl x17, x15, #4\n"
    "1:\n"
    "  sub x16, x16, #4096\n"
    "  ldr wzr, [x16]\n"
    "  subs x17, x17, #4096\n"
    "  b.hi 1b\n"
    "  ret\n");
#endif

#endif
