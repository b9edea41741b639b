// The class Ort on the runtime's own structures, for the nodes of kernels.
#include "standalone/host/kernel_info.h"
#include "standalone/host/node_run.h"
#include "standalone/host/workers.h"

namespace mbert {

Status Ort::fail(const Message& message) const { return mbert::fail(message); }

Status Ort::constant(const OrtKernelInfo* info, size_t index, const Message& name, Tensor* tensor) const {
  return info->packed_constant(index, name, tensor);
}

Status Ort::constant_if_it_is(const OrtKernelInfo* info, size_t index, Tensor* tensor, bool* is_constant) const {
  return info->kept_constant(index, tensor, is_constant);
}

Status Ort::attribute(const OrtKernelInfo* info, const char* name, int64_t* number) const {
  Attribute attribute;
  TRY(find_attribute(info->node.attributes, name, &attribute));
  if (attribute.kind != Attribute::INTEGER)
    return mbert::fail(failure() << "attribute " << name << " is missing, or not an integer; expected an integer");
  *number = attribute.integer;
  return nullptr;
}

Status Ort::attribute(const OrtKernelInfo* info, const char* name, int64_t* numbers, size_t count) const {
  size_t found = 0;
  TRY(attribute_length(info, name, &found));
  if (found != count)
    return mbert::fail(failure() << "attribute " << name << " has " << static_cast<int64_t>(found)
                                 << " numbers; expected " << static_cast<int64_t>(count));
  return read_integers(info->node.attributes, name, numbers, count);
}

Status Ort::attribute_length(const OrtKernelInfo* info, const char* name, size_t* count) const {
  Attribute attribute;
  TRY(find_attribute(info->node.attributes, name, &attribute));
  if (attribute.kind != Attribute::INTEGERS)
    return mbert::fail(failure() << "attribute " << name << " is missing, or not a list of integers; expected a list");
  *count = attribute.count;
  return nullptr;
}

Status Ort::input_count(const OrtKernelInfo* info, size_t* count) const {
  *count = static_cast<size_t>(info->input_count);
  return nullptr;
}

Status Ort::input(OrtKernelContext* context, size_t index, Tensor* tensor) const {
  if (!context->has(static_cast<int>(index)))
    return mbert::fail(failure() << "input " << static_cast<int64_t>(index) << " is missing; expected it");
  *tensor = context->input(static_cast<int>(index));
  return nullptr;
}

Status Ort::output(OrtKernelContext* context, const int64_t* sizes, size_t rank, void** data, size_t index) const {
  const OrtCustomOp* kernel = context->node.kernel;
  return context->output(static_cast<int>(index), kernel->GetOutputType(kernel, index), sizes, static_cast<int>(rank),
                         data);
}

Status Ort::parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const {
  run_on_workers(task, count, data, context->run.model.threads);
  return nullptr;
}

int Ort::threads(OrtKernelContext* context) const {
  const int workers = worker_count() + 1, most = context->run.model.threads;
  return workers < most ? workers : most;
}

Status Ort::allocate(size_t bytes, void** memory) const {
  char* allocated = nullptr;
  TRY(allocate_array(bytes, &allocated));
  *memory = allocated;
  return nullptr;
}

void Ort::release(void* memory) const { release_memory(memory); }

}  // namespace mbert
