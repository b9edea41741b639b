// The threads that help a run. The host starts them: each calls mbert_work, and waits there for tasks.
#pragma once

#include <stddef.h>

namespace mbert {

// Returns the number of threads that wait for tasks, or work on them.
int worker_count();

// Runs tasks 0 to count - 1 on this thread and on at most `threads` - 1 workers, and waits until all are done. While
// another run uses the workers, this thread runs its tasks alone.
void run_on_workers(void (*task)(void*, size_t), size_t count, void* data, int threads);

}  // namespace mbert
