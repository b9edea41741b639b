#include "operators/node.h"

#include "blocks/blocks.h"
#include "ort/scratch.h"
#include "ort/system_call.h"

namespace mbert {

namespace {

#ifndef MBERT_STANDALONE
// Observes the number of threads of a session, which onnxruntime's API does not report. Some runs of a node ask for more
// tasks than there are threads, and each task waits a little for others to arrive. On a busy processor they may come too
// late, so runs 1, 2, 4, 8 and so on observe again, and the largest number counts.
struct Probe {
  int inside = 0, most = 0, alone = 0;
};

constexpr int PROBES = 64, PATIENCE = 20000;

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
#endif

int64_t live_nodes = 0;

// Spins until at least `count` chunks are done. Where another program has taken a thread's core, it may not run for
// milliseconds; so after about a tenth of a millisecond, this thread offers its own core in each turn.
void wait_for(const int64_t* done, int64_t count) {
  constexpr int SPINS = 4096;
  for (int turn = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) < count; turn++) {
    pause_spinning();
    if (turn <= SPINS) continue;
    offer_core();
    turn = SPINS;
  }
}

}  // namespace

Node::Node(const OrtApi* api) : ort(api) { __atomic_add_fetch(&live_nodes, 1, __ATOMIC_ACQ_REL); }

void Node::destroy() {
  const Ort own = ort;
  own.release(this);
  if (__atomic_sub_fetch(&live_nodes, 1, __ATOMIC_ACQ_REL) == 0) scratch_pool.empty(own);
}

Status make_node(const NodeMaker& maker, const OrtApi* api, const OrtKernelInfo* info, void** created) {
  const Ort ort(api);
  *created = nullptr;
  Message why_not;
  const Isa* isa = chosen_isa(&why_not);
  if (!isa) return ort.fail(why_not);
  size_t inputs = 0;
  TRY(ort.input_count(info, &inputs));
  void* memory = nullptr;
  TRY(ort.allocate(maker.bytes, &memory));
  Node* node = maker.construct(memory, api);
  node->isa = isa;
  if (Status status = maker.read(node, info, inputs)) {
    maker.destroy(node);
    return status;
  }
  *created = node;
  return nullptr;
}

Status Node::find_threads(OrtKernelContext* context, int* found) {
#ifdef MBERT_STANDALONE
  *found = ort.threads(context);
  __atomic_store_n(&threads, *found, __ATOMIC_RELAXED);
#else
  const uint64_t run = __atomic_add_fetch(&runs, 1, __ATOMIC_RELAXED);
  if ((run & (run - 1)) == 0) {
    Probe seen;
    TRY(ort.parallel(context, probe, PROBES, &seen));
    int known = __atomic_load_n(&threads, __ATOMIC_RELAXED);
    while (seen.most > known && !__atomic_compare_exchange_n(&threads, &known, seen.most, false, __ATOMIC_RELAXED,
                                                             __ATOMIC_RELAXED)) {
    }
  }
  *found = __atomic_load_n(&threads, __ATOMIC_RELAXED);
#endif
  return nullptr;
}

Status Node::task_rows(OrtKernelContext* context, int64_t rows, int most, int* rows_per_task) {
  int workers = 1;
  TRY(find_threads(context, &workers));
  *rows_per_task = rows_per_chunk(rows, workers, most);
  return nullptr;
}

Status Node::parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const {
  if (count > 1 && __atomic_load_n(&threads, __ATOMIC_RELAXED) > 1) return ort.parallel(context, task, count, data);
  for (size_t number = 0; number < count; number++) task(data, number);
  return nullptr;
}

Status Node::run_in_order(OrtKernelContext* context, Phases* run) const {
  const auto take_chunks = [](void* data, size_t) {
    Phases& shared = *static_cast<Phases*>(data);
    for (;;) {
      const int64_t number = __atomic_fetch_add(&shared.taken, 1, __ATOMIC_RELAXED);
      if (number >= shared.count) return;
      const int64_t phase = number / shared.chunks, before = phase * shared.chunks;
      wait_for(&shared.done, before);
      shared.compute(shared.work, static_cast<int>(phase), static_cast<int>(number - before));
      __atomic_add_fetch(&shared.done, 1, __ATOMIC_RELEASE);
    }
  };
  // A thread that comes after the last chunk was taken has nothing to do.
  const int known = __atomic_load_n(&threads, __ATOMIC_RELAXED);
  return parallel(context, take_chunks, known < run->chunks ? known : run->chunks, run);
}

}  // namespace mbert
