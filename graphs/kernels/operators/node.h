// What the operators' nodes have in common.
#pragma once

#include "operators/isa_selection.h"
#include "isa/isa.h"
#include "ort/ort.h"

inline void* operator new(size_t, void* place) noexcept { return place; }

namespace mbert {

// Between two looks at what another thread changes.
inline void wait_a_moment() {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

struct Node {
  explicit Node(const OrtApi* api);
  // Gives its own memory back; with the last node that there is, the scratch goes, too.
  void destroy();

  // How many rows a task takes: a thread's share, unless that is more than `most`.
  Status task_rows(OrtKernelContext* context, int64_t rows, int most, int* of_a_task);
  // Runs tasks 0 to count - 1, on all threads that there are.
  Status parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const;

  Ort ort;
  const Isa* isa = nullptr;
  // How many threads were seen to work at once, and how often that was tried.
  int threads = 1, tries = 0;
};

// Creates a node of the class `Op::Made`, whose `read` takes its weights, and destroys it where that fails.
template <class Op>
Status create_node(const OrtApi* api, const OrtKernelInfo* info, void** made) {
  const Ort ort(api);
  using Made = typename Op::Made;
  *made = nullptr;
  Message why_not;
  const Isa* isa = chosen_isa(&why_not);
  if (!isa) return ort.fail(why_not);
  size_t inputs = 0;
  TRY(ort.input_count(info, &inputs));
  void* memory = nullptr;
  TRY(ort.allocate(sizeof(Made), &memory));
  Made* node = new (memory) Made(api);
  node->isa = isa;
  if (Status status = Op::read(node, info, inputs)) {
    Op::destroy(node);
    return status;
  }
  *made = node;
  return nullptr;
}

// The description of an operator whose inputs are of any number and type, which its node checks.
template <class Op>
constexpr OrtCustomOp custom_op() {
  OrtCustomOp op{};
  op.version = API_VERSION;
  op.GetName = [](const OrtCustomOp*) { return Op::NAME; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const OrtCustomOp*, size_t) { return UNDEFINED; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetOutputType = [](const OrtCustomOp*, size_t) { return FLOAT; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.KernelDestroy = [](void* node) { Op::destroy(node); };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return VARIADIC; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return REQUIRED; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return MEMORY_DEFAULT; };
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
  op.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
  op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** node) {
    return create_node<Op>(api, info, node);
  };
  op.KernelComputeV2 = [](void* node, OrtKernelContext* context) { return Op::compute(node, context); };
  return op;
}

}  // namespace mbert
