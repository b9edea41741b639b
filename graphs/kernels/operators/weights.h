// The weights of a node: read, checked and packed once, when the session is created.
#pragma once

#include "blocks/blocks.h"
#include "ort/mapped_pages.h"
#include "ort/ort.h"

namespace mbert {

// Reads a node's weights in the order of its inputs. Keeps the first error; calls after it do nothing.
class WeightReader {
 public:
  WeightReader(const Ort& ort, const Isa& isa, const OrtKernelInfo* info, Precision precision, size_t first)
      : ort_(ort), isa_(isa), info_(info), precision_(precision), next_(first) {}

  // Reads a weight [k, n], the scale that follows it in int8, and its bias if it has one. Where *k or *n is 0, it is
  // set from the weight; otherwise the weight must agree.
  void read(Weight* weight, int* k, int* n, bool has_bias, const char* name);
  // Reads the weights of an operator of this name, in the order of its inputs. The precision is set before.
  void read(BottleneckAttention* block);
  void read(StackedFFN* block, int networks);
  // Reads [n] numbers. Where *n is 0, it is set from them.
  void read(float** factors, int* n, const char* name);
  // Records an error, unless there is one already.
  void refuse(const Message& message);
  // Returns the first error, or null. The caller owns it.
  Status status();

 private:
  Status read_one(Weight* weight, int* k, int* n, bool has_bias, const char* name);
  Status vector(float** padded, int* n, const char* name, const char* what);

  const Ort& ort_;
  const Isa& isa_;
  const OrtKernelInfo* info_;
  Precision precision_;
  size_t next_;
  MappedPages mapped_;
  Status status_ = nullptr;
};

// Frees packed memory.
void release(const Ort& ort, float** numbers);
void release(const Ort& ort, Weight* weight);
void release(const Ort& ort, BottleneckAttention* block);
void release(const Ort& ort, StackedFFN* block);

}  // namespace mbert
