// For hosts without threads.
#include "standalone/host/workers.h"

namespace mbert {

int worker_count() { return 0; }

void run_on_workers(void (*task)(void*, size_t), size_t count, void* data, int) {
  for (size_t number = 0; number < count; number++) task(data, number);
}

}  // namespace mbert
