#include "runtime.h"

#include "blocks.h"
#include "node.h"
#include "processor.h"

// Compilers write calls of these for assignments and loops.
extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, size_t count) {
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
#pragma clang loop vectorize(enable)
  for (size_t i = 0; i < count; i++) t[i] = f[i];
  return to;
}

void* memset(void* to, int value, size_t count) {
  char* t = static_cast<char*>(to);
#pragma clang loop vectorize(enable)
  for (size_t i = 0; i < count; i++) t[i] = static_cast<char>(value);
  return to;
}

char* getenv(const char*);
}

namespace mbert {

#if defined(__x86_64__)
extern const Isa isa_amx, isa_avx512_vnni, isa_avx_vnni, isa_avx512, isa_avx2;
#elif defined(__aarch64__)
extern const Isa isa_neon_i8mm, isa_neon_dotprod, isa_neon;
#endif
extern const Isa isa_portable;

namespace {

// The best ones first.
const Isa* const KNOWN[] = {
#if defined(__x86_64__)
    &isa_amx, &isa_avx512_vnni, &isa_avx_vnni, &isa_avx512, &isa_avx2,
#elif defined(__aarch64__)
    &isa_neon_i8mm, &isa_neon_dotprod, &isa_neon,
#endif
    &isa_portable,
};
constexpr int COUNT = sizeof(KNOWN) / sizeof(KNOWN[0]);

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

// Threads

namespace {

// onnxruntime does not tell how many threads a session has. So the first runs of a node ask for more tasks than there
// are threads, each of which waits a little for others to come.
struct Probe {
  int inside = 0, most = 0, alone = 0;
};

constexpr int PROBES = 64, TRIES = 3, PATIENCE = 20000;

void probe(void* data, size_t) {
  Probe& seen = *static_cast<Probe*>(data);
  if (__atomic_load_n(&seen.alone, __ATOMIC_ACQUIRE)) return;
  const int now = __atomic_add_fetch(&seen.inside, 1, __ATOMIC_ACQ_REL);
  int most = __atomic_load_n(&seen.most, __ATOMIC_ACQUIRE);
  while (now > most &&
         !__atomic_compare_exchange_n(&seen.most, &most, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  most = now > most ? now : most;
  for (int left = PATIENCE; left > 0; left--) {
    const int known = __atomic_load_n(&seen.most, __ATOMIC_ACQUIRE);
    if (known > most) {
      most = known;
      left = PATIENCE;
    }
  }
  if (most == 1) __atomic_store_n(&seen.alone, 1, __ATOMIC_RELEASE);
  __atomic_sub_fetch(&seen.inside, 1, __ATOMIC_ACQ_REL);
}

int64_t nodes = 0;

}  // namespace

Node::Node(const OrtApi* api) : ort(api) { __atomic_add_fetch(&nodes, 1, __ATOMIC_ACQ_REL); }

void Node::destroy() {
  const Ort own = ort;
  own.release(this);
  if (__atomic_sub_fetch(&nodes, 1, __ATOMIC_ACQ_REL) == 0) scratch_pool.empty(own);
}

Status Node::task_rows(OrtKernelContext* context, int64_t rows, int most, int* of_a_task) {
  if (__atomic_load_n(&tries, __ATOMIC_RELAXED) < TRIES) {
    __atomic_add_fetch(&tries, 1, __ATOMIC_RELAXED);
    Probe seen;
    TRY(ort.parallel(context, probe, PROBES, &seen));
    int known = __atomic_load_n(&threads, __ATOMIC_RELAXED);
    while (seen.most > known && !__atomic_compare_exchange_n(&threads, &known, seen.most, false, __ATOMIC_RELAXED,
                                                             __ATOMIC_RELAXED)) {
    }
  }
  const int64_t workers = __atomic_load_n(&threads, __ATOMIC_RELAXED);
  // As many tasks for each thread as are needed to keep to `most`.
  const int64_t rounds = (rows + workers * most - 1) / (workers * most);
  const int64_t tasks = rounds * workers;
  *of_a_task = static_cast<int>((rows + tasks - 1) / tasks);
  return nullptr;
}

// Scratch

namespace {

constexpr int SLOTS = 32;

struct Block {
  size_t bytes;
};

// Before the memory stands how much there is.
constexpr size_t HEADER = 64;

char* slots[SLOTS];

Block* header(char* memory) { return reinterpret_cast<Block*>(memory - HEADER); }

}  // namespace

ScratchPool scratch_pool;

Status ScratchPool::take(const Ort& ort, size_t bytes, char** memory) {
  for (char*& slot : slots) {
    char* found = __atomic_exchange_n(&slot, nullptr, __ATOMIC_ACQ_REL);
    if (!found) continue;
    if (header(found)->bytes >= bytes) {
      *memory = found;
      return nullptr;
    }
    ort.release(header(found));
    break;
  }
  void* whole = nullptr;
  TRY(ort.allocate(bytes + HEADER, &whole));
  static_cast<Block*>(whole)->bytes = bytes;
  *memory = static_cast<char*>(whole) + HEADER;
  return nullptr;
}

void ScratchPool::give_back(const Ort& ort, char* memory) {
  for (char*& slot : slots) {
    char* none = nullptr;
    if (__atomic_compare_exchange_n(&slot, &none, memory, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return;
  }
  ort.release(header(memory));
}

void ScratchPool::empty(const Ort& ort) {
  for (char*& slot : slots)
    if (char* found = __atomic_exchange_n(&slot, nullptr, __ATOMIC_ACQ_REL)) ort.release(header(found));
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
