// AVX-VNNI: VNNI's product of 32 bytes in one instruction, for processors without AVX-512.
#define INT8_ROWS 6
#define INT8_VECTORS 2
#define UNSIGNED_WEIGHTS true
#define SHARED_FLOAT avx2

#include "isa/x86/avx2.h"
#include "isa/processor.h"
#include "isa/vectors.h"

namespace {
typedef Bytes Prepared;
typedef __m256i Quad;
inline Prepared prepare(Bytes weights) { return weights; }
inline Quad splat_quad(const int8_t* quad) { return _mm256_set1_epi32(*reinterpret_cast<const UnalignedInt*>(quad)); }
inline Ints dot(Ints sum, Prepared weights, Quad quad) {
  return reinterpret_cast<Ints>(
      _mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(weights), quad));
}
}  // namespace

#include "isa/compute.h"

MBERT_ISA(isa_avx_vnni, "avx-vnni", mbert::has_avx_vnni)
