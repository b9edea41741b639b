// The part of the loader that makes nodes: of kernels, of standard operators, and constants.
#include "standalone/host/kernel_info.h"
#include "standalone/reader/fields.h"
#include "standalone/loader/loader.h"
#include "standalone/reader/tensors.h"
#include "standalone/operators/operator.h"

namespace mbert {

Status Loader::create_kernel(const NodeView& view, const OrtCustomOp* kernel, Scope scope, GraphNode* node) {
  const size_t outputs = kernel->GetOutputTypeCount(kernel);
  node->output_count = count_fields(view.attributes, NodeField::OUTPUT);
  if (static_cast<size_t>(node->output_count) > outputs)
    return fail(about_node(view) << "there are " << node->output_count << " outputs; expected at most "
                                 << static_cast<int64_t>(outputs));
  bool* is_packed = nullptr;
  const size_t inputs = static_cast<size_t>(node->input_count);
  TRY(model_.arena.take(inputs, &is_packed));
  for (size_t i = 0; i < inputs; i++) is_packed[i] = false;
  {
    // Within functions, readers of the graph's constants are not counted.
    OrtKernelInfo info(model_, view, node->inputs, node->input_count, is_packed, scope ? nullptr : &file_);
    if (kernel->CreateKernelV2(kernel, nullptr, &info, &node->state)) return fail_within(node->name, node->type);
  }
  Status status = add_outputs(view.attributes, scope, node);
  // Only kernels with several outputs leave out those that have no name.
  if (!status && outputs == 1 && (!node->output_count || node->outputs[0] < 0))
    status = fail(about_node(view) << "its output" << " is missing; expected it");
  if (!status) status = model_.nodes.add(*node);
  if (status) {
    kernel->KernelDestroy(node->state);
    return status;
  }
  for (int i = 0; i < node->output_count; i++)
    if (node->outputs[i] >= 0)
      model_.values[static_cast<size_t>(node->outputs[i])].type = kernel->GetOutputType(kernel, static_cast<size_t>(i));
  return keep_constants(*node, is_packed);
}

Status Loader::create_standard(const NodeView& view, Scope scope, GraphNode* node) {
  TRY(read_attributes(view, &model_.arena, node));
  node->output_count = count_fields(view.attributes, NodeField::OUTPUT);
  TRY(add_outputs(view.attributes, scope, node));
  bool* is_packed = nullptr;
  const size_t inputs = static_cast<size_t>(node->input_count);
  TRY(model_.arena.take(inputs, &is_packed));
  for (size_t i = 0; i < inputs; i++) is_packed[i] = false;
  Loading loading{model_, *node, is_packed};
  TRY(check_types(loading));
  const Preparation* preparation = node->standard->preparation;
  if (preparation && preparation->load(loading)) {
    if (node->state) preparation->destroy(node->state);
    return fail_within(node->name, node->type);
  }
  bool is_constant = true;
  for (int i = 0; i < node->input_count; i++) is_constant = is_constant && (node->inputs[i] < 0 || loading.is_constant(i));
  // Products of constants, which take long, are left to runs.
  if (is_constant && !(preparation && preparation->destroy)) return compute_constants(*node);
  if (Status status = model_.nodes.add(*node)) {
    if (node->state) preparation->destroy(node->state);
    return status;
  }
  return keep_constants(*node, is_packed);
}

Status Loader::compute_constants(const GraphNode& node) {
  TRY(run_.add_slots());
  for (int i = 0; i < node.input_count; i++)
    if (node.inputs[i] >= 0) TRY(own(&model_.values[static_cast<size_t>(node.inputs[i])]));
  NodeRun computed{run_, node};
  if (node.standard->run(computed)) return fail_within(node.name, node.type);
  for (int i = 0; i < node.output_count; i++) {
    if (node.outputs[i] < 0) continue;
    // The memory changes its owner. Without memory, the output is an input with other sizes.
    Slot& slot = run_.slots[static_cast<size_t>(node.outputs[i])];
    Value& value = model_.values[static_cast<size_t>(node.outputs[i])];
    value.tensor = slot.tensor;
    value.memory = slot.buffer;
    value.is_constant = true;
    slot = {};
    // A file may ask for any number of constants.
    const size_t bytes = tensor_bytes(value.tensor);
    run_.room -= bytes < run_.room ? bytes : run_.room;
  }
  return nullptr;
}

Status Loader::keep_constants(const GraphNode& node, const bool* is_packed) {
  for (int i = 0; i < node.input_count; i++) {
    if (node.inputs[i] < 0 || is_packed[i]) continue;
    Value& value = model_.values[static_cast<size_t>(node.inputs[i])];
    if (value.is_constant && !value.is_kept) TRY(keep(&value));
  }
  return nullptr;
}

namespace {

// Reads the value of a Constant: a tensor, or a list of integers.
Status read_value(const NodeView& view, Value* value) {
  Attribute attribute;
  View name;
  TRY(find_attribute(view.attributes, "value", &attribute));
  if (attribute.kind == Attribute::TENSOR) return read_tensor(attribute.tensor, &name, &value->tensor, &value->memory);
  constexpr const char* LIST = "value_ints";
  constexpr size_t MOST = 4096;
  TRY(find_attribute(view.attributes, LIST, &attribute));
  if (attribute.kind != Attribute::INTEGERS || attribute.count > MOST)
    return fail(about_node(view) << "its value has another form; expected a tensor or few integers");
  int64_t* numbers = nullptr;
  TRY(allocate_array(attribute.count, &numbers));
  value->memory = value->tensor.data = numbers;
  value->tensor.type = INT64;
  value->tensor.rank = 1;
  value->tensor.sizes[0] = static_cast<int64_t>(attribute.count);
  return read_integers(view.attributes, LIST, numbers, attribute.count);
}

}  // namespace

Status Loader::read_constant(const NodeView& view, const View& bytes, Scope scope) {
  Value value{};
  const Status status = read_value(view, &value);
  Wire outputs(bytes);
  next_field(&outputs, NodeField::OUTPUT);
  return add_constant(status, &value, scope, outputs.bytes);
}

}  // namespace mbert
