// The entry that onnxruntime looks for in a library of operators.
#include "operators/nodes.h"
#include "ort/ort.h"

namespace {

using namespace mbert;

constexpr const char* DOMAIN = "mbert";

// A domain lives as long as any session that has it. So it is made once for each onnxruntime in the process, and given
// back when onnxruntime unloads this library, as it does with the last session.
constexpr int MOST_RUNTIMES = 8;
struct Known {
  const OrtApi* api;
  OrtCustomOpDomain* domain;
} known[MOST_RUNTIMES];
bool busy = false;

Status domain_of(const OrtApi* api, OrtCustomOpDomain** found) {
  for (Known& one : known) {
    if (one.api == api) {
      *found = one.domain;
      return nullptr;
    }
    if (one.api) continue;
    OrtCustomOpDomain* domain = nullptr;
    TRY(entry<Status (*)(const char*, OrtCustomOpDomain**)>(api, CreateCustomOpDomain)(DOMAIN, &domain));
    const OrtCustomOp* const ops[] = {&stacked_ffn_op, &stacked_ffn_int8_op, &bottleneck_attention_op,
                                      &bottleneck_attention_int8_op};
    for (const OrtCustomOp* op : ops)
      TRY(entry<Status (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(api, CustomOpDomain_Add)(domain, op));
    one.domain = *found = domain;
    one.api = api;
    return nullptr;
  }
  return entry<Status (*)(int, const char*)>(api, CreateStatus)(ORT_FAIL, "mbert: eight runtimes in one process; expected fewer");
}

__attribute__((destructor)) void give_back_domains() {
  for (Known& one : known) {
    if (one.domain) entry<void (*)(OrtCustomOpDomain*)>(one.api, ReleaseCustomOpDomain)(one.domain);
    one = {};
  }
}

}  // namespace

#if defined(_WIN32)
extern "C" __declspec(dllexport)
#else
extern "C" __attribute__((visibility("default")))
#endif
OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(API_VERSION);
  if (!api) {
    const OrtApi* oldest = base->GetApi(1);
    return oldest ? entry<Status (*)(int, const char*)>(oldest, CreateStatus)(
                        ORT_FAIL, "mbert's kernels need onnxruntime 1.17 or newer; without them the same file runs, too")
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
