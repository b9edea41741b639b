#include "standalone/host/node_run.h"

#include "standalone/operators/operator.h"

namespace mbert {

namespace {

Status allocate_buffer(size_t bytes, Buffer** buffer) {
  char* memory = nullptr;
  if (bytes > SIZE_MAX / 4) return out_of_memory(bytes);
  TRY(allocate_array(CACHE_LINE + bytes, &memory));
  *buffer = reinterpret_cast<Buffer*>(memory);
  (*buffer)->references = 1;
  return nullptr;
}

void set_sizes(Tensor* tensor, int type, const int64_t* sizes, int rank) {
  tensor->type = type;
  tensor->rank = rank;
  for (int axis = 0; axis < rank; axis++) tensor->sizes[axis] = sizes[axis];
}

}  // namespace

Run::~Run() {
  clear();
  release_memory(output_dims);
}

Status Run::start() {
  TRY(add_slots());
  return allocate_array(model.outputs.size(), &output_dims);
}

Status Run::add_slots() {
  while (slots.size() < model.values.size()) TRY(slots.add({}));
  return nullptr;
}

void Run::clear() {
  for (size_t i = 0; i < slots.size(); i++) release(static_cast<int>(i));
  is_done = false;
}

void Run::release(int value) {
  Slot& slot = slots[static_cast<size_t>(value)];
  if (slot.buffer && --slot.buffer->references == 0) release_memory(slot.buffer);
  slot = {};
}

Status Run::check_inputs() const {
  for (size_t i = 0; i < model.inputs.size(); i++) {
    const Port& port = model.inputs[i];
    if (!slots[port.value].is_set && !model.values[port.value].tensor.data)
      return fail(failure() << "input " << View(port.name) << " is missing; expected a tensor for it");
  }
  return nullptr;
}

Status Run::compute() {
  TRY(check_inputs());
  for (size_t i = 0; i < model.nodes.size(); i++) {
    const GraphNode& node = model.nodes[i];
    if (compute_node(node)) return fail_within(node.name, node.type);
    for (int j = 0; j < node.released_count; j++) release(node.released[j]);
  }
  return own_outputs();
}

Status Run::compute_node(const GraphNode& node) {
  OrtKernelContext context{{*this, node}};
  if (node.kernel) return node.kernel->KernelComputeV2(node.state, &context);
  return node.standard->run(context);
}

Status Run::own_outputs() {
  for (size_t i = 0; i < model.outputs.size(); i++) {
    const int value = model.outputs[i].value;
    Slot& slot = slots[static_cast<size_t>(value)];
    if (!slot.is_set) {
      slot.tensor = model.values[value].tensor;
      slot.is_set = true;
    }
    if (!slot.buffer) {
      const size_t bytes = tensor_bytes(slot.tensor);
      TRY(allocate_buffer(bytes, &slot.buffer));
      if (bytes) __builtin_memcpy(slot.buffer->data(), slot.tensor.data, bytes);
      slot.tensor.data = slot.buffer->data();
    }
    for (int axis = 0; axis < slot.tensor.rank; axis++)
      output_dims[i][axis] = static_cast<int32_t>(slot.tensor.sizes[axis]);
  }
  for (size_t i = 0; i < model.inputs.size(); i++)
    if (!model.values[model.inputs[i].value].is_output) release(model.inputs[i].value);
  is_done = true;
  return nullptr;
}

Status NodeRun::output(int index, int type, const int64_t* sizes, int rank, void** data) {
  *data = nullptr;
  if (!has_output(index)) return nullptr;
  const int value = node.outputs[index];
  if (!are_sizes(sizes, rank)) {
    Message& message = failure() << "the output has the sizes";
    for (int axis = 0; axis < rank && axis < MAX_RANK; axis++) message << " " << sizes[axis];
    return fail(message << "; expected at most " << MAX_ELEMENTS << " numbers and " << MAX_RANK << " axes");
  }
  if (type != run.model.values[value].type)
    return fail(failure() << "the output is of type " << type << "; expected " << run.model.values[value].type);
  Slot& slot = run.slots[value];
  if (slot.is_set) run.release(value);
  set_sizes(&slot.tensor, type, sizes, rank);
  const size_t bytes = tensor_bytes(slot.tensor);
  if (bytes > run.room) return out_of_memory(bytes);
  TRY(allocate_buffer(bytes, &slot.buffer));
  *data = slot.tensor.data = slot.buffer->data();
  slot.is_set = true;
  return nullptr;
}

Status NodeRun::share(int index, const Tensor& input, int value, const int64_t* sizes, int rank) {
  if (!has_output(index)) return nullptr;
  Slot& slot = run.slots[node.outputs[index]];
  slot.tensor = input;
  set_sizes(&slot.tensor, input.type, sizes, rank);
  slot.buffer = run.slots[value].buffer;
  if (slot.buffer) slot.buffer->references++;
  slot.is_set = true;
  return nullptr;
}

}  // namespace mbert
