// A run of a model, and the part of it that a node sees.
#pragma once

#include "standalone/model/model.h"

namespace mbert {

// Memory of tensors, which several may share.
struct Buffer {
  int references;
  char* data() { return reinterpret_cast<char*>(this) + CACHE_LINE; }
};

// The tensor of a value in a run. Without a buffer, the tensor belongs to the caller, or is a constant.
struct Slot {
  Tensor tensor;
  Buffer* buffer;
  bool is_set;
};

struct Run {
  explicit Run(const Model& loaded) : model(loaded) {}
  ~Run();

  Status start();
  // Adds slots for values that the model got since.
  Status add_slots();
  Status compute();
  // Releases the tensors of all values.
  void clear();
  // Returns the tensor of a value.
  const Tensor& tensor(int value) const {
    const Slot& slot = slots[static_cast<size_t>(value)];
    return slot.is_set ? slot.tensor : model.values[static_cast<size_t>(value)].tensor;
  }
  void release(int value);

  const Model& model;
  Array<Slot> slots;
  int32_t (*output_dims)[MAX_RANK] = nullptr;
  bool is_done = false;
  size_t room = SIZE_MAX;  // bytes that an output may have

 private:
  Status check_inputs() const;
  Status compute_node(const GraphNode& node);
  Status own_outputs();
};

// What a node reads and writes in a run.
struct NodeRun {
  Run& run;
  const GraphNode& node;

  bool has(int input) const { return input < node.input_count && node.inputs[input] >= 0; }
  // Returns an input that is there.
  const Tensor& input(int index) const { return run.tensor(node.inputs[index]); }
  // Returns whether another node, or the caller, reads an output.
  bool has_output(int index) const { return index < node.output_count && node.outputs[index] >= 0; }
  // Allocates the tensor of an output. Where nothing reads it, `data` is null.
  Status output(int index, int type, const int64_t* sizes, int rank, void** data);
  // Makes an output of the numbers of an input, with other sizes of the same product.
  Status share(int index, const Tensor& input, int value, const int64_t* sizes, int rank);
};

}  // namespace mbert

struct OrtKernelContext : mbert::NodeRun {};
