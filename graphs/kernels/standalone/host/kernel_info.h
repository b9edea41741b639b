// What a node of a kernel reads when it is created.
#pragma once

#include "standalone/loader/file_memory.h"
#include "standalone/reader/node_view.h"

struct OrtKernelInfo {
  mbert::Model& model;
  const mbert::NodeView& node;
  const int32_t* inputs;
  int input_count;
  // For each input, whether the node has copied it: a run does not read it.
  bool* is_packed;
  // Where constants lie that no other node reads once this one has copied them; null where others may.
  mbert::FileMemory* file;
  // The value of the constant that was read last; −1: none.
  mutable int32_t last = -1;
  // A copy of the constant that was read last, where it is not aligned in the file.
  mutable void* aligned = nullptr;

  OrtKernelInfo(mbert::Model& loaded, const mbert::NodeView& view, const int32_t* values, int count, bool* packed,
                mbert::FileMemory* memory)
      : model(loaded), node(view), inputs(values), input_count(count), is_packed(packed), file(memory) {}
  OrtKernelInfo(const OrtKernelInfo&) = delete;
  OrtKernelInfo& operator=(const OrtKernelInfo&) = delete;
  ~OrtKernelInfo() { mbert::release_memory(aligned); }

  // Reads an input that must be a constant, which the node copies before it reads the next one.
  mbert::Status packed_constant(size_t index, const mbert::Message& name, mbert::Tensor* tensor) const;
  // Reads an input if it is a constant, which the node may read later.
  mbert::Status kept_constant(size_t index, mbert::Tensor* tensor, bool* is_constant) const;

 private:
  mbert::Value* constant(size_t index) const;
};
