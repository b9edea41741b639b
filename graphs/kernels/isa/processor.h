// What the processor has, and the system lets a program use.
#pragma once

namespace mbert {

bool always();
bool has_avx2();          // and FMA
bool has_avx512();        // F, BW, DQ and VL
bool has_avx512_vnni();
bool has_avx_vnni();
bool has_amx();           // for bytes; and AVX-512
bool has_dotprod();
bool has_i8mm();

}  // namespace mbert
