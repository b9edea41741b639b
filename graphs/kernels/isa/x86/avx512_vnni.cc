// AVX-512 with VNNI: 64 products of bytes in one instruction.
#define INT8_ROWS 12
#define INT8_VECTORS 2
#define UNSIGNED_WEIGHTS true
#define SHARED_FLOAT avx512

#include "isa/x86/avx512.h"
#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
typedef Bytes Prepared;
typedef __m512i Quad;
inline Prepared prepare(Bytes weights) { return weights; }
inline Quad splat_quad(const int8_t* quad) { return _mm512_set1_epi32(*reinterpret_cast<const UnalignedInt*>(quad)); }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  return reinterpret_cast<Ints>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(weights), quad));
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_avx512_vnni, "avx512-vnni", mbert::has_avx512_vnni)
