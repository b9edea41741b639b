#include "operators/isa_selection.h"

#include "isa/known_isas.h"

extern "C" char* getenv(const char*);

namespace mbert {

namespace {

constexpr const char* VARIABLE = "MBERT_KERNELS_ISA";

const Isa* forced = nullptr;

bool same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

const Isa* named(const char* name, Message* why_not) {
  for (const Isa* isa : KNOWN)
    if (same(isa->name, name)) {
      if (isa->is_there()) return isa;
      *why_not << "this processor has no " << name << "; expected one of";
      break;
    }
  if (!*why_not->text()) *why_not << "no instruction set is called " << name << "; expected one of";
  for (const Isa* isa : KNOWN)
    if (isa->is_there()) *why_not << " " << isa->name;
  return nullptr;
}

}  // namespace

const Isa* chosen_isa(Message* why_not) {
  if (const Isa* isa = __atomic_load_n(&forced, __ATOMIC_ACQUIRE)) return isa;
  const char* name = getenv(VARIABLE);
  if (name && *name) {
    const Isa* isa = named(name, why_not);
    if (!isa) *why_not << " (" << VARIABLE << ")";
    return isa;
  }
  for (const Isa* isa : KNOWN)
    if (isa->is_there()) return isa;
  return nullptr;
}

}  // namespace mbert

// What Python and C call.

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// The instruction set that nodes made from now on use; null where the one that is asked for is not there.
EXPORT const char* mbert_kernels_isa() {
  mbert::Message why_not;
  const mbert::Isa* isa = mbert::chosen_isa(&why_not);
  return isa ? isa->name : nullptr;
}

// The name of the number-th instruction set of this build; null behind the last.
EXPORT const char* mbert_kernels_known(int number) {
  return number >= 0 && number < mbert::COUNT ? mbert::KNOWN[number]->name : nullptr;
}

EXPORT int mbert_kernels_has(int number) {
  return number >= 0 && number < mbert::COUNT && mbert::KNOWN[number]->is_there();
}

// Makes nodes that are made from now on use this one; null: the best again. 0 if the processor has it.
EXPORT int mbert_kernels_force_isa(const char* name) {
  mbert::Message why_not;
  const mbert::Isa* isa = name ? mbert::named(name, &why_not) : nullptr;
  if (name && !isa) return 1;
  __atomic_store_n(&mbert::forced, isa, __ATOMIC_RELEASE);
  return 0;
}
