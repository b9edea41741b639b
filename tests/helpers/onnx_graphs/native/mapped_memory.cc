// Gives back tensors in memory of several kinds, and prints for each its resident KB before and after, and whether its
// content is still there. The argument is a file, which is created.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ort/mapped_pages.h"

namespace {

constexpr size_t BYTES = 1 << 20;

int resident_kb(const void* start) {
  FILE* table = fopen("/proc/self/smaps", "r");
  char line[512];
  bool found = false;
  int kb = -1;
  while (table && fgets(line, sizeof(line), table)) {
    unsigned long low, high;
    if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
      found = low <= reinterpret_cast<unsigned long>(start) && reinterpret_cast<unsigned long>(start) < high;
    if (found && sscanf(line, "Rss: %d kB", &kb) == 1) break;
  }
  if (table) fclose(table);
  return kb;
}

unsigned long sum_of(const unsigned char* data) {
  unsigned long sum = 0;
  for (size_t i = 0; i < BYTES; i++) sum = sum * 31 + data[i];
  return sum;
}

void check(const char* kind, void* memory) {
  unsigned char* data = static_cast<unsigned char*>(memory);
  const unsigned long sum = sum_of(data);
  const int before = resident_kb(data);
  // A tensor that neither begins nor ends at a page.
  mbert::MappedPages().give_back(data + 100, BYTES - 200);
  const int after = resident_kb(data);
  printf("%s %d %d %s\n", kind, before, after, sum_of(data) == sum ? "kept" : "LOST");
}

}  // namespace

int main(int, char** arguments) {
  const int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
  unsigned char* content = static_cast<unsigned char*>(malloc(BYTES));
  for (size_t i = 0; i < BYTES; i++) content[i] = static_cast<unsigned char>(i * 7 + i / 4096);
  if (file < 0 || write(file, content, BYTES) != static_cast<long>(BYTES)) return 1;
  const auto mapped = [&](int flags, int descriptor) {
    return mmap(nullptr, BYTES, PROT_READ | PROT_WRITE, flags, descriptor, 0);
  };
  check("file", mapped(MAP_PRIVATE, file));
  unsigned char* written = static_cast<unsigned char*>(mapped(MAP_PRIVATE, file));
  written[5000] = 1;
  check("written", written);
  void* anonymous = mapped(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memcpy(anonymous, content, BYTES);
  check("anonymous", anonymous);
  void* shared = mapped(MAP_SHARED | MAP_ANONYMOUS, -1);
  memcpy(shared, content, BYTES);
  check("shared", shared);
  check("unread", memset(mapped(MAP_PRIVATE | MAP_ANONYMOUS, -1), 0, BYTES / 2));
  return 0;
}
