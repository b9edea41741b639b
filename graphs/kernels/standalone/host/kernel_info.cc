#include "standalone/host/kernel_info.h"

using namespace mbert;

Value* OrtKernelInfo::constant(size_t index) const {
  if (index >= static_cast<size_t>(input_count) || inputs[index] < 0) return nullptr;
  Value& value = model.values[static_cast<size_t>(inputs[index])];
  return value.is_constant ? &value : nullptr;
}

Status OrtKernelInfo::packed_constant(size_t index, const Message& name, Tensor* tensor) const {
  Value* value = constant(index);
  if (!value) return fail(failure() << name.text() << " is not a constant; expected an initializer");
  is_packed[index] = true;
  if (file && last >= 0) TRY(file->has_copied(last));
  last = inputs[index];
  *tensor = value->tensor;
  if (reinterpret_cast<uintptr_t>(tensor->data) % element_bytes(tensor->type) == 0) return nullptr;
  const size_t bytes = tensor_bytes(*tensor);
  char* copy = nullptr;
  release_memory(aligned);
  aligned = nullptr;
  TRY(allocate_array(bytes, &copy));
  __builtin_memcpy(copy, tensor->data, bytes);
  tensor->data = aligned = copy;
  return nullptr;
}

Status OrtKernelInfo::kept_constant(size_t index, Tensor* tensor, bool* is_constant) const {
  Value* value = constant(index);
  *is_constant = value != nullptr;
  if (!value) return nullptr;
  TRY(keep(value));
  *tensor = value->tensor;
  return nullptr;
}
