// onnxruntime's C API as the kernels call it: a status is an error, and null is none.
#pragma once

#include "ort/abi.h"

namespace mbert {

using Status = OrtStatus*;

#define TRY(expression)                            \
  do {                                             \
    if (mbert::Status status_ = (expression)) return status_; \
  } while (false)

// One of the C API's functions.
template <class Function>
Function entry(const OrtApi* api, Entry number) {
  return reinterpret_cast<Function>(api->entries[number]);
}

constexpr int MOST_DIMENSIONS = 8;

// A tensor's type, sizes and numbers.
struct Tensor {
  int type = 0;
  int rank = 0;
  int64_t sizes[MOST_DIMENSIONS] = {};
  void* data = nullptr;

  bool is(int expected_type, int expected_rank) const { return type == expected_type && rank == expected_rank; }
  const float* floats() const { return static_cast<const float*>(data); }
};

// Text of an error, put together without a C library.
class Message {
 public:
  Message& operator<<(const char* text);
  Message& operator<<(int64_t number);
  Message& operator<<(const Tensor& tensor);  // its type and sizes
  const char* text() const { return text_; }

 private:
  char text_[512] = {};
  size_t length_ = 0;
};

class Ort {
 public:
  explicit Ort(const OrtApi* api) : api_(api) {}

  Status fail(const Message& message) const;
  Status read(const OrtValue* value, Tensor* tensor) const;
  // An input of a node that is being created, which must be a constant. `name` is for the error.
  Status constant(const OrtKernelInfo* info, size_t index, const Message& name, Tensor* tensor) const;
  Status input_count(const OrtKernelInfo* info, size_t* count) const;
  Status input(OrtKernelContext* context, size_t index, Tensor* tensor) const;
  Status output(OrtKernelContext* context, const int64_t* sizes, size_t rank, float** data) const;
  Status parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const;
  // Memory on a cache line's border.
  Status allocate(size_t bytes, void** memory) const;
  void release(void* memory) const;

 private:
  template <class Function>
  Function entry(Entry number) const {
    return mbert::entry<Function>(api_, number);
  }
  Status allocator(OrtAllocator** found) const;

  const OrtApi* api_;
};

}  // namespace mbert
