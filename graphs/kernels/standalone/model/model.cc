#include "standalone/model/model.h"

#include "ort/scratch.h"
#include "standalone/loader/loader.h"
#include "standalone/operators/operator.h"

namespace mbert {

Status load_model(const View& file, void* owned, Model* model) {
  Loader loader(model, owned);
  return loader.load(file);
}

Status own(Value* value) {
  if (value->memory) return nullptr;
  const size_t bytes = tensor_bytes(value->tensor);
  char* copy = nullptr;
  TRY(allocate_array(bytes, &copy));
  if (bytes) __builtin_memcpy(copy, value->tensor.data, bytes);
  value->tensor.data = value->memory = copy;
  return nullptr;
}

Status keep(Value* value) {
  value->is_kept = true;
  return own(value);
}

Model::~Model() {
  for (GraphNode& node : nodes) {
    if (node.kernel)
      node.kernel->KernelDestroy(node.state);
    else if (node.state)
      node.standard->preparation->destroy(node.state);
  }
  for (Value& value : values) release_memory(value.memory);
  release_memory(description);
  // Blocks of scratch memory may be as large as this model needed them.
  scratch_pool.empty(Ort(nullptr));
}

Status Loader::plan() {
  Array<Value>& values = model_.values;
  for (Value& value : values) {
    if (!value.tensor.data || value.is_kept) continue;
    release_memory(value.memory);
    value.memory = value.tensor.data = nullptr;
  }
  // The last node that reads each value, or that computes it where none reads it.
  Array<int32_t> last;
  for (size_t i = 0; i < values.size(); i++) TRY(last.add(-1));
  const auto can_release = [&](int32_t value) {
    return value >= 0 && !values[static_cast<size_t>(value)].tensor.data && !values[static_cast<size_t>(value)].is_input &&
           !values[static_cast<size_t>(value)].is_output;
  };
  const auto each = [](const GraphNode& node, auto function) {
    for (int i = 0; i < node.input_count; i++) function(node.inputs[i]);
    for (int i = 0; i < node.output_count; i++) function(node.outputs[i]);
  };
  for (size_t i = 0; i < model_.nodes.size(); i++)
    each(model_.nodes[i], [&](int32_t value) {
      if (can_release(value)) last[static_cast<size_t>(value)] = static_cast<int32_t>(i);
    });
  for (size_t i = 0; i < model_.nodes.size(); i++) {
    GraphNode& node = model_.nodes[i];
    int32_t* released = nullptr;
    TRY(model_.arena.take(static_cast<size_t>(node.input_count + node.output_count), &released));
    node.released = released;
    each(node, [&](int32_t value) {
      if (value < 0 || last[static_cast<size_t>(value)] != static_cast<int32_t>(i)) return;
      released[node.released_count++] = value;
      last[static_cast<size_t>(value)] = -1;
    });
  }
  return nullptr;
}

}  // namespace mbert
