#include "operators/isa_selection.h"

#include "isa/known_isas.h"

extern "C" char* getenv(const char*);

namespace mbert {

namespace {

constexpr const char* VARIABLE = "MBERT_KERNELS_ISA";

// Set by mbert_kernels_force_isa; null: none.
const Isa* forced = nullptr;

bool same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

const Isa* find_isa(const char* name, Message* why_not) {
  for (const Isa* isa : KNOWN)
    if (same(isa->name, name)) {
      if (isa->is_supported()) return isa;
      *why_not << "this processor does not support " << name << "; expected one of";
      break;
    }
  if (!*why_not->text()) *why_not << "unknown instruction set " << name << "; expected one of";
  for (const Isa* isa : KNOWN)
    if (isa->is_supported()) *why_not << " " << isa->name;
  return nullptr;
}

// Returns the fastest supported instruction set. It is found once: in a virtual machine, each CPUID instruction takes
// microseconds, and they would be a tenth of the time in which a session is created.
const Isa* fastest_isa() {
  static const Isa* fastest = nullptr;
  if (const Isa* isa = __atomic_load_n(&fastest, __ATOMIC_ACQUIRE)) return isa;
  for (const Isa* isa : KNOWN)
    if (isa->is_supported()) {
      __atomic_store_n(&fastest, isa, __ATOMIC_RELEASE);
      return isa;
    }
  return nullptr;
}

}  // namespace

const Isa* chosen_isa(Message* why_not) {
  if (const Isa* isa = __atomic_load_n(&forced, __ATOMIC_ACQUIRE)) return isa;
  const char* name = getenv(VARIABLE);
  if (name && *name) {
    const Isa* isa = find_isa(name, why_not);
    if (!isa) *why_not << " (" << VARIABLE << ")";
    return isa;
  }
  return fastest_isa();
}

}  // namespace mbert

// The C interface, which graphs/kernels/__init__.py calls.

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

// Returns the name of the instruction set of new nodes; null where MBERT_KERNELS_ISA names one that is not available.
EXPORT const char* mbert_kernels_isa() {
  mbert::Message why_not;
  const mbert::Isa* isa = mbert::chosen_isa(&why_not);
  return isa ? isa->name : nullptr;
}

// Returns the name of an instruction set of this build by its index; null after the last.
EXPORT const char* mbert_kernels_known(int number) {
  return number >= 0 && number < mbert::KNOWN_COUNT ? mbert::KNOWN[number]->name : nullptr;
}

// Returns 1 if this processor supports the instruction set of an index.
EXPORT int mbert_kernels_has(int number) {
  return number >= 0 && number < mbert::KNOWN_COUNT && mbert::KNOWN[number]->is_supported();
}

// Sets the instruction set of new nodes; null restores the default. Returns 0, or 1 where it is not available.
EXPORT int mbert_kernels_force_isa(const char* name) {
  mbert::Message why_not;
  const mbert::Isa* isa = name ? mbert::find_isa(name, &why_not) : nullptr;
  if (name && !isa) return 1;
  __atomic_store_n(&mbert::forced, isa, __ATOMIC_RELEASE);
  return 0;
}
