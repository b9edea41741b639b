#include "ort/ort.h"

#include "isa/isa.h"

namespace mbert {

namespace {

using AttributeArray = Status (*)(const OrtKernelInfo*, const char*, int64_t*, size_t*);

}  // namespace

Status Ort::fail(const Message& message) const {
  return entry<Status (*)(int, const char*)>(CreateStatus)(ORT_INVALID_ARGUMENT, message.text());
}

Status Ort::read(const OrtValue* value, Tensor* tensor) const {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  TRY(entry<Status (*)(const OrtValue*, OrtTensorTypeAndShapeInfo**)>(GetTensorTypeAndShape)(value, &info));
  size_t rank = 0;
  Status status = entry<Status (*)(const OrtTensorTypeAndShapeInfo*, int*)>(GetTensorElementType)(info, &tensor->type);
  if (!status) status = entry<Status (*)(const OrtTensorTypeAndShapeInfo*, size_t*)>(GetDimensionsCount)(info, &rank);
  if (!status && rank <= MAX_RANK)
    status = entry<Status (*)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>(GetDimensions)(info, tensor->sizes,
                                                                                                  rank);
  tensor->rank = static_cast<int>(rank);
  entry<void (*)(OrtTensorTypeAndShapeInfo*)>(ReleaseTensorTypeAndShapeInfo)(info);
  if (status) return status;
  return entry<Status (*)(OrtValue*, void**)>(GetTensorMutableData)(const_cast<OrtValue*>(value), &tensor->data);
}

Status Ort::constant(const OrtKernelInfo* info, size_t index, const Message& name, Tensor* tensor) const {
  bool is_constant = false;
  TRY(constant_if_it_is(info, index, tensor, &is_constant));
  return is_constant ? nullptr : fail(Message() << name.text() << " is not a constant; expected an initializer");
}

Status Ort::constant_if_it_is(const OrtKernelInfo* info, size_t index, Tensor* tensor, bool* is_constant) const {
  int found = 0;
  const OrtValue* value = nullptr;
  TRY(entry<Status (*)(const OrtKernelInfo*, size_t, int*, const OrtValue**)>(KernelInfoGetConstantInput_tensor)(
      info, index, &found, &value));
  *is_constant = found && value;
  return *is_constant ? read(value, tensor) : nullptr;
}

Status Ort::attribute(const OrtKernelInfo* info, const char* name, int64_t* number) const {
  return entry<Status (*)(const OrtKernelInfo*, const char*, int64_t*)>(KernelInfoGetAttribute_int64)(info, name,
                                                                                                      number);
}

Status Ort::attribute(const OrtKernelInfo* info, const char* name, int64_t* numbers, size_t count) const {
  size_t found = 0;
  TRY(attribute_length(info, name, &found));
  if (found != count)
    return fail(Message() << "attribute " << name << " has " << static_cast<int64_t>(found) << " numbers; expected "
                          << static_cast<int64_t>(count));
  return count ? entry<AttributeArray>(KernelInfoGetAttributeArray_int64)(info, name, numbers, &found) : nullptr;
}

Status Ort::attribute_length(const OrtKernelInfo* info, const char* name, size_t* count) const {
  *count = 0;
  return entry<AttributeArray>(KernelInfoGetAttributeArray_int64)(info, name, nullptr, count);
}

Status Ort::input_count(const OrtKernelInfo* info, size_t* count) const {
  return entry<Status (*)(const OrtKernelInfo*, size_t*)>(KernelInfo_GetInputCount)(info, count);
}

Status Ort::input(OrtKernelContext* context, size_t index, Tensor* tensor) const {
  const OrtValue* value = nullptr;
  TRY(entry<Status (*)(const OrtKernelContext*, size_t, const OrtValue**)>(KernelContext_GetInput)(
      context, index, &value));
  if (!value) return fail(Message() << "input " << static_cast<int64_t>(index) << " is missing");
  return read(value, tensor);
}

Status Ort::output(OrtKernelContext* context, const int64_t* sizes, size_t rank, void** data, size_t index) const {
  OrtValue* value = nullptr;
  TRY(entry<Status (*)(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>(KernelContext_GetOutput)(
      context, index, sizes, rank, &value));
  *data = nullptr;
  if (!value) return nullptr;
  return entry<Status (*)(OrtValue*, void**)>(GetTensorMutableData)(value, data);
}

Status Ort::parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const {
  return entry<Status (*)(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>(
      KernelContext_ParallelFor)(context, task, count, 0, data);
}

Status Ort::allocator(OrtAllocator** result) const {
  return entry<Status (*)(OrtAllocator**)>(GetAllocatorWithDefaultOptions)(result);
}

Status Ort::allocate(size_t bytes, void** memory) const {
  OrtAllocator* from = nullptr;
  TRY(allocator(&from));
  void* whole = nullptr;
  TRY(entry<Status (*)(OrtAllocator*, size_t, void**)>(AllocatorAlloc)(from, bytes + 2 * CACHE_LINE, &whole));
  // The pointer before the memory says where the allocation begins.
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(whole) + 2 * CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  char* start = reinterpret_cast<char*>(aligned);
  reinterpret_cast<void**>(start)[-1] = whole;
  *memory = start;
  return nullptr;
}

void Ort::release(void* memory) const {
  OrtAllocator* from = nullptr;
  if (!memory) return;
  Status status = allocator(&from);
  if (!status) status = entry<Status (*)(OrtAllocator*, void*)>(AllocatorFree)(from, static_cast<void**>(memory)[-1]);
  if (status) entry<void (*)(OrtStatus*)>(ReleaseStatus)(status);
}

}  // namespace mbert
