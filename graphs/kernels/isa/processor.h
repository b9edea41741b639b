// Detects instruction sets: supported by the processor and enabled by the operating system.
#pragma once

// Linux grants AMX's tile registers to processes that request them. Android lets apps call few functions of the kernel, and
// other systems have other ways; AMX is not in their libraries.
#if defined(__x86_64__) && defined(__linux__) && !defined(MBERT_ANDROID)
#define MBERT_AMX 1
#else
#define MBERT_AMX 0
#endif

namespace mbert {

bool always();
bool has_avx2();          // and FMA and F16C
bool has_avx512();        // F, BW, DQ and VL
bool has_avx512_vnni();
bool has_avx_vnni();
bool has_amx();           // tiles and int8; and AVX-512
bool has_dotprod();       // and float16 arithmetic, which such processors have, too
bool has_i8mm();          // likewise

}  // namespace mbert
