// A small fake of onnxruntime's C API, for the library under a sanitizer: tensors, nodes, and a count of what is not released.
#pragma once

#include <stdlib.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ort/abi.h"

using namespace mbert;

// The types that onnxruntime's API leaves opaque.
struct OrtStatus {
  std::string message;
};
struct OrtValue {
  int type = FLOAT;
  std::vector<int64_t> sizes;
  std::vector<char> data;
};
struct OrtTensorTypeAndShapeInfo {
  const OrtValue* value;
};
struct OrtKernelInfo {
  std::vector<OrtValue> inputs;
  size_t at_run_time;  // number of leading inputs that are not constants
  std::map<std::string, std::vector<int64_t>> attributes;
};
struct OrtKernelContext {
  // The outputs have the operator's types.
  OrtKernelContext(const OrtCustomOp* op, const OrtKernelInfo& info, int session_threads)
      : inputs(&info.inputs), outputs(op->GetOutputTypeCount(op)), threads(session_threads) {
    for (size_t i = 0; i < outputs.size(); i++) outputs[i].type = op->GetOutputType(op, i);
  }

  const std::vector<OrtValue>* inputs;
  std::vector<OrtValue> outputs;
  int threads;
};
struct OrtCustomOpDomain {
  std::vector<const OrtCustomOp*> ops;
};
struct OrtSessionOptions {
  OrtCustomOpDomain* domain;
};
struct OrtAllocator {
  std::atomic<int64_t> live{0};
};

// A larger output is refused.
constexpr size_t MOST_BYTES = size_t{1} << 28;

// What is allocated and not released.
inline OrtAllocator heap;
inline std::atomic<int64_t> statuses{0}, domains{0};

inline OrtStatus* fail(int, const char* message) {
  statuses++;
  return new OrtStatus{message};
}

inline void release(OrtStatus* status) {
  if (!status) return;
  statuses--;
  delete status;
}

inline size_t bytes_of(const OrtValue& value) {
  size_t count = 1;
  for (int64_t size : value.sizes) count *= size;
  switch (value.type) {
    case INT8: case UINT8: case BOOL: return count;
    case FLOAT16: case UINT16: return 2 * count;
    case INT64: return 8 * count;
    default: return 4 * count;
  }
}

template <class Function>
void set(OrtApi& api, Entry entry, Function function) {
  api.entries[entry] = reinterpret_cast<void (*)()>(function);
}

// Returns the API, of which the functions that the library calls are set.
inline const OrtApi* the_api(uint32_t version) {
  static OrtApi api{};
  static std::once_flag once;
  std::call_once(once, [] {
    set(api, CreateStatus, fail);
    set(api, ReleaseStatus, +[](OrtStatus* status) {
      statuses--;
      delete status;
    });
    set(api, CreateCustomOpDomain, +[](const char*, OrtCustomOpDomain** result) -> OrtStatus* {
      domains++;
      *result = new OrtCustomOpDomain;
      return nullptr;
    });
    set(api, ReleaseCustomOpDomain, +[](OrtCustomOpDomain* domain) { delete domain; });
    set(api, CustomOpDomain_Add, +[](OrtCustomOpDomain* domain, const OrtCustomOp* op) -> OrtStatus* {
      domain->ops.push_back(op);
      return nullptr;
    });
    set(api, AddCustomOpDomain, +[](OrtSessionOptions* options, OrtCustomOpDomain* domain) -> OrtStatus* {
      options->domain = domain;
      return nullptr;
    });
    set(api, GetTensorTypeAndShape, +[](const OrtValue* value, OrtTensorTypeAndShapeInfo** info) -> OrtStatus* {
      *info = new OrtTensorTypeAndShapeInfo{value};
      return nullptr;
    });
    set(api, ReleaseTensorTypeAndShapeInfo, +[](OrtTensorTypeAndShapeInfo* info) { delete info; });
    set(api, GetTensorElementType, +[](const OrtTensorTypeAndShapeInfo* info, int* type) -> OrtStatus* {
      *type = info->value->type;
      return nullptr;
    });
    set(api, GetDimensionsCount, +[](const OrtTensorTypeAndShapeInfo* info, size_t* count) -> OrtStatus* {
      *count = info->value->sizes.size();
      return nullptr;
    });
    set(api, GetDimensions, +[](const OrtTensorTypeAndShapeInfo* info, int64_t* sizes, size_t count) -> OrtStatus* {
      for (size_t i = 0; i < count; i++) sizes[i] = info->value->sizes[i];
      return nullptr;
    });
    set(api, GetTensorMutableData, +[](OrtValue* value, void** data) -> OrtStatus* {
      *data = value->data.data();
      return nullptr;
    });
    set(api, GetAllocatorWithDefaultOptions, +[](OrtAllocator** found) -> OrtStatus* {
      *found = &heap;
      return nullptr;
    });
    set(api, AllocatorAlloc, +[](OrtAllocator* allocator, size_t size, void** memory) -> OrtStatus* {
      allocator->live++;
      *memory = malloc(size);
      return nullptr;
    });
    set(api, AllocatorFree, +[](OrtAllocator* allocator, void* memory) -> OrtStatus* {
      allocator->live--;
      free(memory);
      return nullptr;
    });
    set(api, KernelInfo_GetInputCount, +[](const OrtKernelInfo* info, size_t* count) -> OrtStatus* {
      *count = info->inputs.size();
      return nullptr;
    });
    set(api, KernelInfoGetAttribute_int64, +[](const OrtKernelInfo* info, const char* name, int64_t* out) -> OrtStatus* {
      const auto found = info->attributes.find(name);
      if (found == info->attributes.end()) return fail(ORT_FAIL, "no such attribute");
      *out = found->second[0];
      return nullptr;
    });
    set(api, KernelInfoGetAttributeArray_int64,
        +[](const OrtKernelInfo* info, const char* name, int64_t* out, size_t* size) -> OrtStatus* {
          const auto found = info->attributes.find(name);
          if (found == info->attributes.end()) return fail(ORT_FAIL, "no such attribute");
          for (size_t i = 0; out && i < found->second.size() && i < *size; i++) out[i] = found->second[i];
          *size = found->second.size();
          return nullptr;
        });
    set(api, KernelInfoGetConstantInput_tensor,
        +[](const OrtKernelInfo* info, size_t index, int* constant, const OrtValue** value) -> OrtStatus* {
          *constant = index >= info->at_run_time && index < info->inputs.size();
          *value = *constant ? &info->inputs[index] : nullptr;
          return nullptr;
        });
    set(api, KernelContext_GetInputCount, +[](const OrtKernelContext* context, size_t* count) -> OrtStatus* {
      *count = context->inputs->size();
      return nullptr;
    });
    set(api, KernelContext_GetInput,
        +[](const OrtKernelContext* context, size_t index, const OrtValue** value) -> OrtStatus* {
      *value = index < context->inputs->size() ? &(*context->inputs)[index] : nullptr;
      return nullptr;
    });
    set(api, KernelContext_GetOutput,
        +[](OrtKernelContext* context, size_t index, const int64_t* sizes, size_t rank, OrtValue** value) -> OrtStatus* {
          OrtValue& output = context->outputs[index];
          output.sizes.assign(sizes, sizes + rank);
          if (bytes_of(output) > MOST_BYTES) return fail(ORT_FAIL, "there is no memory for this output");
          output.data.resize(bytes_of(output));
          *value = &output;
          return nullptr;
        });
    set(api, KernelContext_ParallelFor,
        +[](const OrtKernelContext* context, void (*task)(void*, size_t), size_t count, size_t,
            void* data) -> OrtStatus* {
          std::atomic<size_t> next{0};
          const auto work = [&] {
            for (size_t number; (number = next++) < count;) task(data, number);
          };
          std::vector<std::thread> others;
          for (int i = 1; i < context->threads; i++) others.emplace_back(work);
          work();
          for (std::thread& other : others) other.join();
          return nullptr;
        });
  });
  return version <= API_VERSION ? &api : nullptr;
}
