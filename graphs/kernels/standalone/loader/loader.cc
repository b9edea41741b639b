#include "standalone/loader/loader.h"

#include "standalone/reader/fields.h"
#include "standalone/reader/tensors.h"
#include "standalone/operators/kernels.h"
#include "standalone/operators/operator.h"

namespace mbert {

namespace {

// Versions of the format and of the opsets that exports use.
constexpr int64_t OLDEST_IR = 8, NEWEST_IR = 13, OLDEST_OPSET = 18, NEWEST_OPSET = 26;

// The most bytes of nodes and functions that are read, beside those of the file itself: a function is read in each call.
constexpr size_t MOST_REPEATED = size_t{16} << 20;

}  // namespace

Status Loader::load(const View& file) {
  bytes_left_ = MOST_REPEATED + file.size;
  // Weights of 8 bits become several times larger, and are then transposed.
  constexpr size_t MOST_PER_BYTE = 16;
  run_.room = MOST_REPEATED + MOST_PER_BYTE * file.size;
  struct Fields {
    int64_t ir_version = 0;
    View graph;
  } fields;
  static constexpr FieldRule RULES[] = {{varint_tag(ModelField::IR_VERSION), __builtin_offsetof(Fields, ir_version)},
                                        {bytes_tag(ModelField::GRAPH), __builtin_offsetof(Fields, graph)}};
  const Status status = read_fields(file, RULES, &fields, "it");
  if (status || !fields.graph.data || count_fields(file, ModelField::GRAPH) != 1)
    return fail(failure() << "this is not an .onnx file, or not a whole one; expected a file that mbert-onnx export wrote");
  if (fields.ir_version < OLDEST_IR || fields.ir_version > NEWEST_IR)
    return fail(failure() << "the file has IR version " << fields.ir_version << "; expected " << OLDEST_IR << " to " << NEWEST_IR);
  for (Wire wire(file); wire.next();) {
    if (wire.is(ModelField::FUNCTIONS, Wire::BYTES)) TRY(read_function(wire.bytes));
    if (wire.is(ModelField::METADATA, Wire::BYTES)) TRY(read_property(wire.bytes));
  }
  TRY(check_opsets(file, ModelField::OPSET_IMPORT));
  TRY(read_graph(fields.graph));
  return plan();
}

Status Loader::read_function(const View& bytes) {
  static constexpr FieldRule RULES[] = {{bytes_tag(FunctionField::NAME), __builtin_offsetof(FunctionView, name)},
                                        {bytes_tag(FunctionField::DOMAIN), __builtin_offsetof(FunctionView, domain)},
                                        {bytes_tag(FunctionField::OVERLOAD), __builtin_offsetof(FunctionView, overload)}};
  FunctionView function;
  function.body = bytes;
  TRY(read_fields(bytes, RULES, &function, "a function"));
  return functions_.add(function);
}

Status Loader::read_property(const View& bytes) {
  struct Fields {
    View key, value;
  } fields;
  static constexpr FieldRule RULES[] = {{bytes_tag(PropertyField::KEY), __builtin_offsetof(Fields, key)},
                                        {bytes_tag(PropertyField::VALUE), __builtin_offsetof(Fields, value)}};
  TRY(read_fields(bytes, RULES, &fields, "the metadata"));
  Property property;
  TRY(model_.arena.copy(fields.key, &property.key));
  TRY(model_.arena.copy(fields.value, &property.value));
  return model_.metadata.add(property);
}

Status Loader::check_opsets(const View& bytes, uint32_t field) const {
  struct Fields {
    View domain;
    int64_t version = 0;
  };
  static constexpr FieldRule RULES[] = {{bytes_tag(OpsetField::DOMAIN), __builtin_offsetof(Fields, domain)},
                                        {varint_tag(OpsetField::VERSION), __builtin_offsetof(Fields, version)}};
  for (Wire wire(bytes); wire.next();) {
    if (!wire.is(field, Wire::BYTES)) continue;
    Fields fields;
    TRY(read_fields(wire.bytes, RULES, &fields, "an opset"));
    const bool is_own = fields.domain.is(DOMAIN);
    const int64_t oldest = is_own ? 1 : OLDEST_OPSET, newest = is_own ? 1 : NEWEST_OPSET;
    if ((is_own || is_standard_domain(fields.domain)) && (fields.version < oldest || fields.version > newest))
      return fail(failure() << "the file has opset " << fields.version << " of the domain " << (is_own ? DOMAIN : "ai.onnx")
                            << "; expected " << oldest << " to " << newest << ADVICE);
  }
  return nullptr;
}

Status Loader::read_graph(const View& bytes) {
  Wire wire(bytes);
  for (const char* start = bytes.data; wire.next(); start = wire.position()) {
    if (wire.field() == GraphField::SPARSE_INITIALIZER) return malformed("a sparse initializer");
    if (wire.is(GraphField::INITIALIZER, Wire::BYTES)) {
      TRY(read_initializer(wire.bytes, 0));
    } else {
      for (; start < wire.position(); start++) TRY(rest_.add(*start));
    }
  }
  if (wire.is_malformed()) return malformed("the graph");
  const View rest(rest_.begin(), rest_.size());
  if (file_.is_owned()) TRY(count_readers(bytes, rest));
  Wire inputs(rest);
  while (inputs.next())
    if (inputs.is(GraphField::INPUT, Wire::BYTES)) TRY(read_input(inputs.bytes));
  TRY(read_nodes(rest, GraphField::NODE, 0, 0));
  Wire outputs(rest);
  while (outputs.next())
    if (outputs.is(GraphField::OUTPUT, Wire::BYTES)) TRY(read_output(outputs.bytes));
  return nullptr;
}

void Loader::count_reader(const View& name) {
  const int32_t value = names_.find(0, name);
  if (value >= 0) model_.values[static_cast<size_t>(value)].readers++;
}

Status Loader::count_readers(const View& graph, const View& rest) {
  for (Wire wire(rest); wire.next();) {
    View name;
    if (wire.is(GraphField::OUTPUT, Wire::BYTES)) TRY(read_name(wire.bytes, &name));
    count_reader(name);
    if (!wire.is(GraphField::NODE, Wire::BYTES)) continue;
    for (Wire field(wire.bytes); field.next();) {
      if (field.is(NodeField::INPUT, Wire::BYTES)) count_reader(field.bytes);
      // A branch reads values that are no inputs of its node.
      if (field.is(NodeField::TYPE, Wire::BYTES) && field.bytes.is("If")) return nullptr;
    }
  }
  // Functions, which are read again at each call, commonly lie behind the graph.
  for (const FunctionView& function : functions_)
    if (function.body.data < graph.data) return nullptr;
  file_.start_release();
  return nullptr;
}

Status Loader::read_initializer(const View& bytes, Scope scope) {
  Value value{};
  View name;
  Status status = read_tensor(bytes, &name, &value.tensor, &value.memory);
  // Its place in the file may be released before the name is read for the last time.
  if (!status && file_.is_owned()) status = arena_.copy(name, &name.data);
  return add_constant(status, &value, scope, name);
}

Status Loader::read_input(const View& bytes) {
  Port port{};
  View name;
  TRY(read_port(bytes, &model_.arena, &name, &port));
  int32_t index = names_.find(0, name);
  if (index < 0) {
    Value value{};
    TRY(add_value(value, &index));
    TRY(define(0, name, index));
  }
  Value& value = model_.values[static_cast<size_t>(index)];
  if (value.is_input) return fail(failure() << "the file has two inputs " << name << "; expected one");
  if (value.is_constant) {  // a default, which a run may replace
    if (value.type != port.tensor.type)
      return fail(failure() << "the default of the input " << name << " is " << value.tensor << "; expected type "
                            << port.tensor.type);
    value.is_constant = false;
    TRY(keep(&value));
  }
  value.type = port.tensor.type;
  value.is_input = true;
  port.value = index;
  return model_.inputs.add(port);
}

Status Loader::read_output(const View& bytes) {
  Port port{};
  View name;
  TRY(read_port(bytes, &model_.arena, &name, &port));
  port.value = names_.find(0, name);
  if (port.value < 0)
    return fail(failure() << "no node computes the output " << name << "; expected one");
  Value& value = model_.values[static_cast<size_t>(port.value)];
  if (value.type != port.tensor.type)
    return fail(failure() << "the output " << name << " is of type " << value.type << "; expected " << port.tensor.type);
  value.is_output = true;
  if (value.is_constant) TRY(keep(&value));
  return model_.outputs.add(port);
}

Status Loader::read_nodes(const View& bytes, uint32_t field, Scope scope, int depth) {
  Wire wire(bytes);
  while (wire.next())
    if (wire.is(field, Wire::BYTES)) TRY(read_node(wire.bytes, scope, depth));
  return wire.is_malformed() ? malformed("a graph") : nullptr;
}

Status Loader::count(size_t bytes) {
  if (parts_left_-- && bytes <= bytes_left_) {
    bytes_left_ -= bytes;
    return nullptr;
  }
  return fail(failure() << "the file has too many nodes, names or calls of functions; expected fewer" << ADVICE);
}

Status Loader::read_node(const View& bytes, Scope scope, int depth) {
  NodeView view;
  TRY(count(bytes.size));
  TRY(view.read(bytes));
  if (!view.name.size) view.name = caller_;
  const OrtCustomOp* kernel = view.domain.is(DOMAIN) ? find_kernel(view.type) : nullptr;
  if (kernel && !takes_input(*kernel, bytes, scope)) kernel = nullptr;
  if (!kernel)
    for (const FunctionView& function : functions_)
      if (function.name == view.type && function.domain == view.domain && function.overload == view.overload)
        return call(function, view, bytes, scope, depth);
  const bool is_standard = is_standard_domain(view.domain);
  if (is_standard && view.type.is("Constant")) return read_constant(view, bytes, scope);
  if (is_standard && view.type.is("OptionalHasElement")) return read_presence(view, scope);
  if (is_standard && view.type.is("If")) return read_branch(view, scope, depth);
  GraphNode node{};
  node.kernel = kernel;
  // onnxruntime's own QuantizeLinear and DequantizeLinear are ONNX's, with more types.
  node.standard = is_standard || view.domain.is("com.microsoft") ? find_operator(view.type) : nullptr;
  if (!node.kernel && !node.standard) return refuse(view);
  Message type;
  if (!is_standard) type << view.domain << ".";
  type << view.type;
  TRY(model_.arena.copy(view.name, &node.name, SHOWN));
  TRY(model_.arena.copy(View(type.text()), &node.type));
  TRY(read_inputs(bytes, scope, &node));
  TRY(kernel ? create_kernel(view, kernel, scope, &node) : create_standard(view, scope, &node));
  return nullptr;
}

bool Loader::takes_input(const OrtCustomOp& kernel, const View& bytes, Scope scope) const {
  Wire inputs(bytes);
  const int32_t value = next_field(&inputs, NodeField::INPUT) ? names_.find(scope, inputs.bytes) : -1;
  return value < 0 || model_.values[static_cast<size_t>(value)].type != FLOAT16 || kernel.GetOutputType(&kernel, 0) == FLOAT16;
}

Status Loader::check_depth(const NodeView& view, int depth) const {
  constexpr int DEEPEST = 8;
  if (depth < DEEPEST) return nullptr;
  return fail(about_node(view) << "functions and branches are " << DEEPEST << " levels deep; expected fewer" << ADVICE);
}

Status Loader::refuse(const NodeView& view) const {
  return fail(about_node(view) << "this operator is not one that the runtime has" << ADVICE);
}

Status Loader::check_computed(const NodeView& view, int32_t value, const View& output) const {
  if (value >= 0) return nullptr;
  return fail(about_node(view) << "its body does not compute the output " << output << "; expected it");
}

// Refuses a node with more inputs or outputs than the function that it calls.
static Status has_too_many(const NodeView& view, const char* what) {
  return fail(about_node(view) << "it has more " << what << " than its function; expected as many");
}

Status Loader::call(const FunctionView& function, const NodeView& view, const View& bytes, Scope scope, int depth) {
  TRY(check_depth(view, depth));
  TRY(count(function.body.size));
  TRY(check_opsets(function.body, FunctionField::OPSET_IMPORT));
  const Scope own = ++scopes_;
  // Inputs by place: an input that is missing is one without a name.
  Wire given(bytes), wanted(function.body);
  while (next_field(&wanted, FunctionField::INPUT)) {
    const bool is_given = next_field(&given, NodeField::INPUT) && given.bytes.size;
    const int32_t value = is_given ? names_.find(scope, given.bytes) : -1;
    if (value == Names::NONE)
      return fail(about_node(view) << "the input " << given.bytes << " is not computed before; expected a sorted graph");
    TRY(define(own, wanted.bytes, value));
  }
  if (next_field(&given, NodeField::INPUT)) return has_too_many(view, "inputs");
  const View outer = caller_;
  caller_ = view.name;
  TRY(read_nodes(function.body, FunctionField::NODE, own, depth + 1));
  caller_ = outer;
  Wire results(function.body), names(bytes);
  while (next_field(&names, NodeField::OUTPUT)) {
    if (!next_field(&results, FunctionField::OUTPUT)) return has_too_many(view, "outputs");
    if (!names.bytes.size) continue;
    const int32_t value = names_.find(own, results.bytes);
    TRY(check_computed(view, value, results.bytes));
    TRY(define(scope, names.bytes, value));
  }
  return nullptr;
}

Status Loader::read_inputs(const View& bytes, Scope scope, GraphNode* node) {
  int32_t* inputs = nullptr;
  node->input_count = count_fields(bytes, NodeField::INPUT);
  TRY(model_.arena.take(static_cast<size_t>(node->input_count), &inputs));
  node->inputs = inputs;
  Wire names(bytes);
  while (names.next()) {
    if (!names.is(NodeField::INPUT, Wire::BYTES)) continue;
    *inputs = names.bytes.size ? names_.find(scope, names.bytes) : -1;
    if (*inputs++ == Names::NONE) {
      return fail(about(node->name, node->type) << "the input " << names.bytes << " is not computed before; expected a sorted graph");
    }
  }
  return nullptr;
}

Status Loader::add_outputs(const View& bytes, Scope scope, GraphNode* node) {
  int32_t* outputs = nullptr;
  TRY(model_.arena.take(static_cast<size_t>(node->output_count), &outputs));
  node->outputs = outputs;
  Wire names(bytes);
  while (names.next()) {
    if (!names.is(NodeField::OUTPUT, Wire::BYTES)) continue;
    *outputs = -1;
    if (names.bytes.size) {
      Value value{};
      TRY(add_value(value, outputs));
      TRY(define(scope, names.bytes, *outputs));
    }
    outputs++;
  }
  return nullptr;
}

Status Loader::add_constant(Status status, Value* value, Scope scope, const View& name) {
  int32_t index = -1;
  value->type = value->tensor.type;
  value->is_constant = true;
  if (!status) status = add_value(*value, &index);
  if (status) {
    release_memory(value->memory);
    return status;
  }
  return define(scope, name, index);
}

Status Loader::add_value(const Value& value, int32_t* index) {
  *index = static_cast<int32_t>(model_.values.size());
  return model_.values.add(value);
}

Status Loader::define(Scope scope, const View& name, int32_t value) {
  TRY(count(0));
  if (names_.find(scope, name) != Names::NONE)
    return fail(failure() << "the file defines the value " << name << " twice; expected each name once");
  return names_.add(scope, name, value);
}

}  // namespace mbert
