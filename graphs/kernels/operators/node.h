// The base of the operators' nodes: their instruction set, and how their work is split into tasks.
#pragma once

#include "operators/isa_selection.h"
#include "isa/isa.h"
#include "ort/ort.h"

inline void* operator new(size_t, void* place) noexcept { return place; }

namespace mbert {

// Hints to the processor that this thread spins until another one changes a variable.
inline void pause_spinning() {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Chunks of phases, which threads take in order from a counter. A thread that has taken a chunk waits for the phases
// before it. All their chunks were taken earlier, by threads that are computing them: so there is no deadlock, however
// many threads take part, and whenever they come.
struct Phases {
  const void* work;
  void (*compute)(const void* work, int phase, int chunk);
  int64_t count;  // of all chunks of all phases
  int chunks;     // of a phase
  int64_t taken, done;
};

struct Node {
  explicit Node(const OrtApi* api);
  // Frees its own memory; the last node of the process also empties the scratch pool.
  void destroy();

  // Returns the threads of the session, as far as they are known.
  Status find_threads(OrtKernelContext* context, int* found);
  // Computes the rows of a task for the threads of the session: see `rows_per_chunk`.
  Status task_rows(OrtKernelContext* context, int64_t rows, int most, int* rows_per_task);
  // Runs tasks 0 to count - 1 on all threads of the session.
  Status parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const;
  // Computes phases 0 to phases - 1 on all threads of the session, each after the one before it, in `chunks` chunks
  // that are independent of each other: work.compute(phase, chunk).
  template <class Work>
  Status run_phases(OrtKernelContext* context, int phases, int chunks, const Work& work) const {
    Phases run{&work, [](const void* any, int phase, int chunk) {
                 static_cast<const Work*>(any)->compute(phase, chunk);
               }, static_cast<int64_t>(phases) * chunks, chunks, 0, 0};
    return run_in_order(context, &run);
  }

  Status run_in_order(OrtKernelContext* context, Phases* run) const;

  Ort ort;
  const Isa* isa = nullptr;
  // The most threads that were observed to work at once.
  int threads = 1;
  uint64_t runs = 0;
};

// How nodes of an operator are made.
struct NodeMaker {
  size_t bytes;
  Node* (*construct)(void* memory, const OrtApi* api);
  Status (*read)(Node* node, const OrtKernelInfo* info, size_t inputs);
  void (*destroy)(void* node);
};

// Creates a node. `read` packs its weights; where that fails, the node is destroyed.
Status make_node(const NodeMaker& maker, const OrtApi* api, const OrtKernelInfo* info, void** created);

template <class NodeType>
Node* construct_node(void* memory, const OrtApi* api) {
  return new (memory) NodeType(api);
}

// Creates a node of the class `Op::NodeType`, which `Op::read` reads.
template <class Op>
Status create_node(const OrtApi* api, const OrtKernelInfo* info, void** created) {
  using NodeType = typename Op::NodeType;
  static constexpr NodeMaker MAKER = {
      sizeof(NodeType), construct_node<NodeType>,
      [](Node* node, const OrtKernelInfo* of_node, size_t inputs) {
        return Op::read(static_cast<NodeType*>(node), of_node, inputs);
      },
      Op::destroy};
  return make_node(MAKER, api, info, created);
}

// Describes an operator to onnxruntime. Its inputs are declared as variadic and of any type: the node checks them.
template <class Op>
constexpr OrtCustomOp custom_op() {
  OrtCustomOp op{};
  op.GetName = [](const OrtCustomOp*) { return Op::NAME; };
#ifndef MBERT_STANDALONE  // the standalone runtime reads none of these
  op.version = API_VERSION;
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const OrtCustomOp*, size_t) { return UNDEFINED; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return VARIADIC; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return REQUIRED; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return MEMORY_DEFAULT; };
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
  op.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
#endif
  op.GetOutputType = [](const OrtCustomOp*, size_t) { return Op::TYPE; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.KernelDestroy = [](void* node) { Op::destroy(node); };
  op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** node) {
    return create_node<Op>(api, info, node);
  };
  op.KernelComputeV2 = [](void* node, OrtKernelContext* context) { return Op::compute(node, context); };
  return op;
}

}  // namespace mbert
