#include "ort/mapped_pages.h"

#include "ort/system_call.h"

namespace mbert {

#if MBERT_SYSTEM_CALLS

// Declared here, because the library has no C headers: every C library on Linux has it.
extern "C" unsigned long getauxval(unsigned long);

namespace {

// A page's entry in /proc/self/pagemap: whether it is resident, and whether its memory is a file's. A private page
// that was written to is no longer a file's. Bit 61 is also set for shared memory, whose content outlives its pages.
constexpr uint64_t RESIDENT = uint64_t{1} << 63, OF_FILE = uint64_t{1} << 61;
constexpr int ENTRIES = 256;  // read at once

constexpr unsigned long PAGE_BYTES = 6;  // a key of getauxval

// Returns an address within itself, whose page is resident because it is executed.
__attribute__((noinline)) uintptr_t address_of_code() {
  __asm__ volatile("" ::: "memory");
  return reinterpret_cast<uintptr_t>(&address_of_code);
}

}  // namespace

MappedPages::MappedPages() {
  page_ = getauxval(PAGE_BYTES);
  if (page_) table_ = open_for_reading("/proc/self/pagemap");
  if (table_ < 0) return;
  // An emulator's guest has other addresses than the process that the table is of. So the table must say what is known
  // of two pages: the stack's is not a file's, and that of this library's code is.
  volatile char on_stack = 0;
  on_stack = 1;
  if (!are_of_file(reinterpret_cast<uintptr_t>(&on_stack), 1) && are_of_file(address_of_code(), 1)) return;
  system_call(CLOSE, table_);
  table_ = -1;
}

MappedPages::~MappedPages() {
  if (table_ >= 0) system_call(CLOSE, table_);
}

void MappedPages::give_back(const void* tensor, size_t bytes) const {
  constexpr long DONTNEED = 4;
  if (table_ < 0 || !bytes) return;
  const uintptr_t start = reinterpret_cast<uintptr_t>(tensor) / page_ * page_;
  const size_t pages = (reinterpret_cast<uintptr_t>(tensor) + bytes - start + page_ - 1) / page_;
  if (are_of_file(start, pages))
    system_call(MADVISE, static_cast<long>(start), static_cast<long>(pages * page_), DONTNEED);
}

bool MappedPages::are_of_file(uintptr_t first, size_t pages) const {
  uint64_t entries[ENTRIES];
  for (size_t done = 0; done < pages; done += ENTRIES) {
    const size_t count = pages - done < ENTRIES ? pages - done : ENTRIES;
    const long bytes = static_cast<long>(count * sizeof(uint64_t));
    const long at = static_cast<long>((first / page_ + done) * sizeof(uint64_t));
    if (system_call(PREAD, table_, reinterpret_cast<long>(entries), bytes, at) != bytes) return false;
    for (size_t i = 0; i < count; i++)
      if ((entries[i] & RESIDENT) == 0 || (entries[i] & OF_FILE) == 0) return false;
  }
  return true;
}

#else

MappedPages::MappedPages() = default;
MappedPages::~MappedPages() = default;
void MappedPages::give_back(const void*, size_t) const {}
bool MappedPages::are_of_file(uintptr_t, size_t) const { return false; }

#endif

}  // namespace mbert
