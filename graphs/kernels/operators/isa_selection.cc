#include "operators/isa_selection.h"

#include "isa/known_isas.h"

#if defined(_WIN32)
extern "C" __declspec(dllimport) unsigned long __stdcall GetEnvironmentVariableA(const char*, char*, unsigned long);
#else
extern "C" char* getenv(const char*);
#endif

namespace mbert {

namespace {

constexpr const char* VARIABLE = "MBERT_KERNELS_ISA";

// Set by force_isa; null: none.
const Isa* forced = nullptr;

// The value of the environment variable; null or empty where it is not set. A longer one than the buffer is cut off: it is
// no instruction set's name.
const char* named_isa(char* buffer, unsigned long size) {
#if defined(_WIN32)
  buffer[0] = 0;
  if (GetEnvironmentVariableA(VARIABLE, buffer, size) >= size) buffer[0] = '?', buffer[1] = 0;
  return buffer;
#else
  (void)buffer, (void)size;
  return getenv(VARIABLE);
#endif
}

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
  char buffer[64];
  const char* name = named_isa(buffer, sizeof(buffer));
  if (name && *name) {
    const Isa* isa = find_isa(name, why_not);
    if (!isa) *why_not << " (" << VARIABLE << ")";
    return isa;
  }
  return fastest_isa();
}

const Isa* known_isa(int index) { return index >= 0 && index < KNOWN_COUNT ? KNOWN[index] : nullptr; }

bool force_isa(const char* name) {
  Message why_not;
  const Isa* isa = name ? find_isa(name, &why_not) : nullptr;
  if (name && !isa) return false;
  __atomic_store_n(&forced, isa, __ATOMIC_RELEASE);
  return true;
}

}  // namespace mbert
