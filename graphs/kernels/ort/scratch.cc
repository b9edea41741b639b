#include "ort/scratch.h"

namespace mbert {

namespace {

constexpr int SLOTS = 32;

struct Block {
  size_t bytes;
};

// The bytes before a block that hold its size.
constexpr size_t HEADER = 64;

char* slots[SLOTS];

Block* header(char* memory) { return reinterpret_cast<Block*>(memory - HEADER); }

}  // namespace

ScratchPool scratch_pool;

Status ScratchPool::take(const Ort& ort, uint64_t bytes, char** memory) {
  for (char*& slot : slots) {
    char* block = __atomic_exchange_n(&slot, nullptr, __ATOMIC_ACQ_REL);
    if (!block) continue;
    if (header(block)->bytes >= bytes) {
      *memory = block;
      return nullptr;
    }
    ort.release(header(block));
    break;
  }
  void* whole = nullptr;
  // More than addresses reach is more than there is.
  TRY(ort.allocate(bytes < SIZE_MAX / 2 ? static_cast<size_t>(bytes) + HEADER : SIZE_MAX, &whole));
  static_cast<Block*>(whole)->bytes = static_cast<size_t>(bytes);
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
    if (char* block = __atomic_exchange_n(&slot, nullptr, __ATOMIC_ACQ_REL)) ort.release(header(block));
}

}  // namespace mbert
