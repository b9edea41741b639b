// Weights of a node: read once, when the session is made, checked, and packed.
#pragma once

#include "isa/isa.h"
#include "ort/ort.h"

namespace mbert {

// Reads a node's inputs one after the other. The first thing that is wrong is kept, and all calls after it do nothing.
class WeightReader {
 public:
  WeightReader(const Ort& ort, const Isa& isa, const OrtKernelInfo* info, bool int8, size_t first)
      : ort_(ort), isa_(isa), info_(info), int8_(int8), next_(first) {}

  // A weight, which is followed by its scale in 8 bits, and by its bias if it has one. A size of 0 is not known yet,
  // and is set.
  void read(Weight* weight, int* k, int* n, bool has_bias, const char* name);
  // Makes this the first thing that is wrong, if there is none yet.
  void refuse(const Message& message);
  // The status of all, which the caller owns then.
  Status status();

 private:
  Status read_one(Weight* weight, int* k, int* n, bool has_bias, const char* name);
  Status vector(float** padded, int n, const char* name, const char* what);

  const Ort& ort_;
  const Isa& isa_;
  const OrtKernelInfo* info_;
  bool int8_;
  size_t next_;
  Status status_ = nullptr;
};

void release(const Ort& ort, Weight* weight);

}  // namespace mbert
