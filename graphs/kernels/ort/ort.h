// A thin wrapper of onnxruntime's C API. A Status is an error, or null for success.
#pragma once

#include "ort/abi.h"

namespace mbert {

using Status = OrtStatus*;

// Returns from the calling function with the status of an expression, unless it is null.
#define TRY(expression)                            \
  do {                                             \
    if (mbert::Status status_ = (expression)) return status_; \
  } while (false)

// Returns a function of the C API.
template <class Function>
Function entry(const OrtApi* api, Entry number) {
  return reinterpret_cast<Function>(api->entries[number]);
}

constexpr int MAX_RANK = 8;

// A tensor's element type, shape and data.
struct Tensor {
  int type = 0;
  int rank = 0;
  int64_t sizes[MAX_RANK] = {};
  void* data = nullptr;

  bool is(int expected_type, int expected_rank) const { return type == expected_type && rank == expected_rank; }
  size_t count() const {
    size_t result = 1;
    for (int axis = 0; axis < rank && axis < MAX_RANK; axis++) result *= sizes[axis];
    return result;
  }
  const float* floats() const { return static_cast<const float*>(data); }
  // Returns whether the tensor broadcasts to a shape, and the elements from one index to the next of each axis of that
  // shape: 0 where the tensor has one index only.
  bool broadcasts_to(const int64_t* shape, int shape_rank, int64_t* strides) const;
};

// The text of an error, formatted without a C library. Text beyond 511 bytes is cut off.
class Message {
 public:
  Message() { text_[0] = 0; }  // the rest is written before it is read
  Message(const Message& other) { *this << other.text_; }
  Message& operator=(const Message& other) { return clear() << other.text_; }
  Message& clear() {
    length_ = 0;
    text_[0] = 0;
    return *this;
  }
  Message& operator<<(const char* text);
  Message& operator<<(int64_t number);
  Message& operator<<(const Tensor& tensor);  // its type and shape
  const char* text() const { return text_; }

 private:
  char text_[512];
  size_t length_ = 0;
};

class Ort {
 public:
  explicit Ort(const OrtApi* api) : api_(api) {}

  Status fail(const Message& message) const;
  Status read(const OrtValue* value, Tensor* tensor) const;
  // Reads an input of a node that is being created, which must be an initializer. `name` is for the error.
  Status constant(const OrtKernelInfo* info, size_t index, const Message& name, Tensor* tensor) const;
  // Reads an input of a node that is being created, if it is an initializer.
  Status constant_if_it_is(const OrtKernelInfo* info, size_t index, Tensor* tensor, bool* is_constant) const;
  // Reads an attribute of a node that is being created: one number, a list of exactly `count`, or the length of a list.
  Status attribute(const OrtKernelInfo* info, const char* name, int64_t* number) const;
  Status attribute(const OrtKernelInfo* info, const char* name, int64_t* numbers, size_t count) const;
  Status attribute_length(const OrtKernelInfo* info, const char* name, size_t* count) const;
  Status input_count(const OrtKernelInfo* info, size_t* count) const;
  Status input(OrtKernelContext* context, size_t index, Tensor* tensor) const;
  // Allocates an output, by default the first one. The data of an optional output that nothing reads is null.
  Status output(OrtKernelContext* context, const int64_t* sizes, size_t rank, void** data, size_t index = 0) const;
  Status parallel(OrtKernelContext* context, void (*task)(void*, size_t), size_t count, void* data) const;
#ifdef MBERT_STANDALONE
  // Returns the threads that a run may use, which onnxruntime does not report.
  int threads(OrtKernelContext* context) const;
#endif
  // Allocates memory that is aligned to a cache line.
  Status allocate(size_t bytes, void** memory) const;
  void release(void* memory) const;

 private:
  template <class Function>
  Function entry(Entry number) const {
    return mbert::entry<Function>(api_, number);
  }
  Status allocator(OrtAllocator** result) const;

  const OrtApi* api_;
};

}  // namespace mbert
