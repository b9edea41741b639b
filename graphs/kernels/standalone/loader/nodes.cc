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
    OrtKernelInfo info(model_, view, node->inputs, node->input_count, is_packed);
    if (Status status = kernel->CreateKernelV2(kernel, nullptr, &info, &node->state))
      return fail(about_node(view) << status->message.text());
  }
  Status status = add_outputs(view.attributes, scope, node);
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
  if (node->standard->load) {
    if (Status status = node->standard->load(loading)) {
      if (node->state) node->standard->destroy(node->state);
      return fail(about_node(view) << status->message.text());
    }
  }
  // Where its output became a constant, no run computes it.
  if (node->output_count && node->outputs[0] >= 0 && loading.output(0).is_constant) return nullptr;
  if (Status status = model_.nodes.add(*node)) {
    if (node->state) node->standard->destroy(node->state);
    return status;
  }
  return keep_constants(*node, is_packed);
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

// The attributes of a Constant that the runtime reads, besides `value`.
constexpr struct {
  const char* name;
  Attribute::Kind kind;
  int type;
  bool is_list;
} FORMS[] = {{"value_int", Attribute::INTEGER, INT64, false},
             {"value_ints", Attribute::INTEGERS, INT64, true},
             {"value_float", Attribute::REAL, FLOAT, false},
             {"value_floats", Attribute::REALS, FLOAT, true}};

// Stores numbers as elements of a type. `numbers` has integers, or the bits of floats.
void store_numbers(int type, const int64_t* numbers, size_t count, void* data) {
  for (size_t i = 0; i < count; i++)
    if (type == INT64)
      static_cast<int64_t*>(data)[i] = numbers[i];
    else
      static_cast<float*>(data)[i] = float_of(static_cast<uint64_t>(numbers[i]));
}

Status read_listed(const View& node, const char* name, const Attribute& attribute, int type, bool is_list, Value* value) {
  const size_t count = is_list ? attribute.count : 1;
  if (count > 4096) return fail(Message() << "a constant has more than 4096 numbers in a list; expected a tensor");
  char* data = nullptr;
  Array<int64_t> numbers;
  for (size_t i = 0; i < count; i++) TRY(numbers.add(type == FLOAT ? attribute.real_bits() : attribute.integer));
  if (is_list) TRY(read_integers(node, name, numbers.begin(), count));
  TRY(allocate_array(count * element_bytes(type), &data));
  store_numbers(type, numbers.begin(), count, data);
  value->memory = value->tensor.data = data;
  value->tensor.type = type;
  value->tensor.rank = is_list;
  value->tensor.sizes[0] = static_cast<int64_t>(count);
  return nullptr;
}

Status read_value(const NodeView& view, Value* value) {
  Attribute attribute;
  TRY(find_attribute(view.attributes, "value", &attribute));
  View name;
  if (attribute.kind == Attribute::TENSOR) return read_tensor(attribute.tensor, &name, &value->tensor, &value->memory);
  for (const auto& form : FORMS) {
    Attribute listed;
    TRY(find_attribute(view.attributes, form.name, &listed));
    if (listed.kind == form.kind) return read_listed(view.attributes, form.name, listed, form.type, form.is_list, value);
  }
  return fail(about_node(view) << "the constant has no value that the runtime reads; expected a tensor, or numbers");
}

}  // namespace

Status Loader::read_constant(const NodeView& view, const View& bytes, Scope scope) {
  Value value{};
  Status status = read_value(view, &value);
  int32_t index = -1;
  value.type = value.tensor.type;
  value.is_constant = true;
  if (!status) status = add_value(value, &index);
  if (status) {
    release_memory(value.memory);
    return status;
  }
  Wire outputs(bytes);
  while (outputs.next())
    if (outputs.is(NodeField::OUTPUT, Wire::BYTES)) return define(scope, outputs.bytes, index);
  return nullptr;
}

}  // namespace mbert
