// The instruction sets of this build. Include it in one source file of a program only.
#pragma once

#include "isa/isa.h"

namespace mbert {

#if defined(__x86_64__)
extern const Isa isa_amx, isa_avx512_vnni, isa_avx_vnni, isa_avx512, isa_avx2;
#elif defined(__aarch64__)
extern const Isa isa_neon_i8mm, isa_neon_dotprod, isa_neon;
#endif
extern const Isa isa_portable;

// Fastest first: the first supported one is the default.
const Isa* const KNOWN[] = {
#if defined(__x86_64__)
    &isa_amx, &isa_avx512_vnni, &isa_avx_vnni, &isa_avx512, &isa_avx2,
#elif defined(__aarch64__)
    &isa_neon_i8mm, &isa_neon_dotprod, &isa_neon,
#endif
    &isa_portable,
};
constexpr int KNOWN_COUNT = sizeof(KNOWN) / sizeof(KNOWN[0]);

}  // namespace mbert
