#include "library/registration.h"

#include "library/exported.h"
#include "operators/nodes/nodes.h"
#include "ort/ort.h"

using namespace mbert;

namespace {

constexpr const char* DOMAIN = "mbert";

// A domain must outlive every session that uses it. So it is created once for each onnxruntime in the process, and
// released when onnxruntime unloads this library after its last session.
constexpr int MAX_RUNTIMES = 8;
struct Runtime {
  const OrtApi* api;
  OrtCustomOpDomain* domain;
} runtimes[MAX_RUNTIMES];
bool busy = false;

Status domain_of(const OrtApi* api, OrtCustomOpDomain** result) {
  for (Runtime& one : runtimes) {
    if (one.api == api) {
      *result = one.domain;
      return nullptr;
    }
    if (one.api) continue;
    OrtCustomOpDomain* domain = nullptr;
    TRY(entry<Status (*)(const char*, OrtCustomOpDomain**)>(api, CreateCustomOpDomain)(DOMAIN, &domain));
    const OrtCustomOp* const ops[] = {&stacked_ffn_op, &stacked_ffn_int8_op, &bottleneck_attention_op,
                                      &bottleneck_attention_int8_op, &encoder_op, &encoder_int8_op, &encoder_float16_op,
                                      &embeddings_op, &embeddings_int8_op, &embeddings_float16_op, &tokenize_op,
                                      &tokenize_pair_op, &tokenize_windows_op, &tokenize_pair_windows_op};
    for (const OrtCustomOp* op : ops)
      TRY(entry<Status (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(api, CustomOpDomain_Add)(domain, op));
    one.domain = *result = domain;
    one.api = api;
    return nullptr;
  }
  return entry<Status (*)(int, const char*)>(api, CreateStatus)(
      ORT_FAIL, "mbert: this process has loaded 8 onnxruntime libraries with the kernels; expected 8 at most");
}

}  // namespace

// Windows calls DllMainCRTStartup instead.
#if !defined(_WIN32)
__attribute__((destructor))
#endif
void mbert::release_domains() {
  for (Runtime& one : runtimes) {
    if (one.domain) entry<void (*)(OrtCustomOpDomain*)>(one.api, ReleaseCustomOpDomain)(one.domain);
    one = {};
  }
}

OrtStatus* mbert_kernels_register(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(API_VERSION);
  if (!api) {
    const OrtApi* oldest = base->GetApi(1);
    return oldest ? entry<Status (*)(int, const char*)>(oldest, CreateStatus)(
                        ORT_FAIL, "this onnxruntime is too old for mbert's kernels; expected 1.17 or newer. "
                                  "The same file runs without the kernels")
                  : nullptr;
  }
  while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
  }
  OrtCustomOpDomain* domain = nullptr;
  Status status = domain_of(api, &domain);
  __atomic_clear(&busy, __ATOMIC_RELEASE);
  if (status) return status;
  return entry<Status (*)(OrtSessionOptions*, OrtCustomOpDomain*)>(api, AddCustomOpDomain)(options, domain);
}
