// The instruction sets of this build. Include it in one source file of a program only.
#pragma once

#include "isa/isa.h"
#include "isa/processor.h"

namespace mbert {

// A build for tests may leave out all others, which take most of its time.
#if defined(MBERT_PORTABLE_ONLY)
#elif defined(__x86_64__)
#if MBERT_AMX
extern const Isa isa_amx;
#endif
extern const Isa isa_avx512_vnni, isa_avx_vnni, isa_avx512, isa_avx2;
#elif defined(__aarch64__)
extern const Isa isa_neon_i8mm, isa_neon_dotprod, isa_neon;
#elif defined(__wasm_relaxed_simd__)
extern const Isa isa_wasm_relaxed, isa_wasm_relaxed_unsigned, isa_wasm;
#elif defined(__wasm_simd128__)
extern const Isa isa_wasm;
#endif
#ifndef __wasm__
extern const Isa isa_portable;
#endif

// Fastest first: the first supported one is the default.
const Isa* const KNOWN[] = {
#if defined(MBERT_PORTABLE_ONLY)
#elif defined(__x86_64__)
#if MBERT_AMX
    &isa_amx,
#endif
    &isa_avx512_vnni, &isa_avx_vnni, &isa_avx512, &isa_avx2,
#elif defined(__aarch64__)
    &isa_neon_i8mm, &isa_neon_dotprod, &isa_neon,
#elif defined(__wasm_relaxed_simd__)
    &isa_wasm_relaxed, &isa_wasm_relaxed_unsigned, &isa_wasm,
#elif defined(__wasm_simd128__)
    &isa_wasm,
#endif
#ifndef __wasm__
    &isa_portable,
#endif
};
constexpr int KNOWN_COUNT = sizeof(KNOWN) / sizeof(KNOWN[0]);

}  // namespace mbert
