// Threads of WebAssembly: other instances of the module on the same memory, each in a worker of the host, which wait in
// mbert_work for tasks.
#include <stdint.h>

#include "standalone/host/workers.h"
#include "standalone/mbert_runtime.h"

namespace mbert {

namespace {

// The tasks of one run. While `is_open` is set, or `inside` counts a worker, they do not change.
struct Job {
  void (*task)(void*, size_t);
  size_t count;
  void* data;
};

Job job;
size_t next = 0;            // the first task that no thread has taken
int is_open = 0;            // whether workers may take tasks
int places = 0;             // workers that may still join
int inside = 0;             // workers that may read the job
int workers = 0;            // threads in mbert_work
bool busy = false;          // whether a run uses the workers
int32_t generation = 0;     // counts jobs; workers wait for a change of it

constexpr auto ORDER = __ATOMIC_SEQ_CST;

// Reads of `generation` before a worker waits in the engine: the parallel parts of a layer follow each other within
// microseconds, and to wake a thread takes tens of them.
constexpr int SPINS = 20000;

void work() {
  for (size_t number; (number = __atomic_fetch_add(&next, 1, ORDER)) < job.count;) job.task(job.data, number);
}

// Waits until there is another job than the one of `seen`, and returns its generation.
int32_t wait_for_job(int32_t seen) {
  for (int i = 0; i < SPINS; i++)
    if (const int32_t now = __atomic_load_n(&generation, ORDER); now != seen) return now;
  for (;;) {
    if (const int32_t now = __atomic_load_n(&generation, ORDER); now != seen) return now;
    __builtin_wasm_memory_atomic_wait32(&generation, seen, -1);
  }
}

// Not inlined: its frame must be on the stack that mbert_work sets.
__attribute__((noinline)) void wait_and_work() {
  __atomic_add_fetch(&workers, 1, ORDER);
  for (int32_t seen = __atomic_load_n(&generation, ORDER);;) {
    seen = wait_for_job(seen);
    // Entered before the look at `is_open`: the run either sees this worker, or this worker sees that it is closed.
    __atomic_add_fetch(&inside, 1, ORDER);
    if (__atomic_load_n(&is_open, ORDER) && __atomic_sub_fetch(&places, 1, ORDER) >= 0) work();
    __atomic_sub_fetch(&inside, 1, ORDER);
  }
}

}  // namespace

int worker_count() { return __atomic_load_n(&workers, ORDER); }

void run_on_workers(void (*task)(void*, size_t), size_t count, void* data, int threads) {
  if (count < 2 || threads < 2 || worker_count() == 0 || __atomic_test_and_set(&busy, ORDER)) {
    for (size_t number = 0; number < count; number++) task(data, number);
    return;
  }
  job = {task, count, data};
  __atomic_store_n(&next, 0, ORDER);
  __atomic_store_n(&places, threads - 1, ORDER);
  __atomic_store_n(&is_open, 1, ORDER);
  __atomic_add_fetch(&generation, 1, ORDER);
  __builtin_wasm_memory_atomic_notify(&generation, static_cast<unsigned>(threads - 1));
  work();
  __atomic_store_n(&is_open, 0, ORDER);
  // Not a wait in the engine, which a page's main thread may not do. Only tasks that have begun are left.
  while (__atomic_load_n(&inside, ORDER)) {
  }
  __atomic_clear(&busy, ORDER);
}

}  // namespace mbert

extern "C" void mbert_work(void* stack) {
  // Each instance has a stack pointer of its own, which at first is the one of the first instance.
  __asm__ volatile(
      ".globaltype __stack_pointer, i32\n"
      "local.get %0\n"
      "global.set __stack_pointer"
      :
      : "r"(stack));
  mbert::wait_and_work();
}
