// The part of the loader for an If whose condition is known when the model is loaded: the branch that is taken becomes
// nodes of the graph around it. Functions of text files of fixed sizes have their bodies in such branches.
#include "standalone/loader/loader.h"
#include "standalone/operators/operator.h"
#include "standalone/reader/fields.h"
#include "standalone/reader/tensors.h"

namespace mbert {

Status Loader::read_presence(const NodeView& view, Scope scope) {
  // Every value here is a tensor, which has an element in the sense of this operator.
  char* memory = nullptr;
  TRY(allocate_array(1, &memory));
  *memory = 1;
  Value value{};
  value.tensor.type = BOOL;
  value.tensor.data = value.memory = memory;
  Wire outputs(view.attributes);
  next_field(&outputs, NodeField::OUTPUT);
  return add_constant(nullptr, &value, scope, outputs.bytes);
}

Status Loader::read_branch(const NodeView& view, Scope scope, int depth) {
  Wire inputs(view.attributes);
  const int32_t condition = next_field(&inputs, NodeField::INPUT) ? names_.find(scope, inputs.bytes) : -1;
  const Value* value = condition >= 0 ? &model_.values[static_cast<size_t>(condition)] : nullptr;
  if (!value || !value->is_constant || value->type != BOOL || value->tensor.count() != 1)
    return fail(about_node(view) << "the condition is not a constant; expected one" << ADVICE);
  const bool is_true = *static_cast<const uint8_t*>(value->tensor.data) != 0;
  Attribute branch;
  TRY(find_attribute(view.attributes, is_true ? "then_branch" : "else_branch", &branch));
  if (branch.kind != Attribute::GRAPH) return fail(about_node(view) << "it has no branch; expected a graph");
  TRY(check_depth(view, depth));
  for (Wire wire(branch.graph); wire.next();)
    if (wire.is(GraphField::INITIALIZER, Wire::BYTES)) TRY(read_initializer(wire.bytes, scope));
  TRY(read_nodes(branch.graph, GraphField::NODE, scope, depth + 1));
  Wire results(branch.graph), names(view.attributes);
  while (next_field(&names, NodeField::OUTPUT)) {
    View result;
    if (next_field(&results, GraphField::OUTPUT)) TRY(read_name(results.bytes, &result));
    const int32_t computed = names_.find(scope, result);
    TRY(check_computed(view, computed, names.bytes));
    if (names.bytes.size) TRY(define(scope, names.bytes, computed));
  }
  return nullptr;
}

}  // namespace mbert
