// Detects instruction sets: supported by the processor and enabled by the operating system.
#pragma once

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
