// Resident memory of initializers that onnxruntime maps from a file.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mbert {

// Gives back the resident pages of tensors that have been copied into packed weights, so that each weight is in memory
// once. Only pages that are certainly unchanged pages of a file are given back: the next read, if there is one, fetches
// them from the file again, and the file stays in the system's cache for other processes. Tensors in any other memory
// stay as they are, as do all tensors on systems other than Linux.
class MappedPages {
 public:
  MappedPages();
  ~MappedPages();
  MappedPages(const MappedPages&) = delete;
  MappedPages& operator=(const MappedPages&) = delete;

  void give_back(const void* tensor, size_t bytes) const;

 private:
  bool are_of_file(uintptr_t first, size_t pages) const;

  [[maybe_unused]] int table_ = -1;   // /proc/self/pagemap
  [[maybe_unused]] size_t page_ = 0;  // bytes
};

}  // namespace mbert
