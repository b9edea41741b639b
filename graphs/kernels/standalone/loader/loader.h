// Builds a model from the messages of its file.
#pragma once

#include "standalone/host/node_run.h"
#include "standalone/loader/file_memory.h"
#include "standalone/loader/names.h"
#include "standalone/reader/node_view.h"

namespace mbert {

struct FunctionView {
  View name, domain, overload, body;
};

class Loader {
 public:
  // `owned`: the memory of the file; null where it is the caller's.
  Loader(Model* model, void* owned) : model_(*model), run_(*model), file_(model, owned) {}

  Status load(const View& file);

 private:
  // The graph is scope 0; each call of a function is another one.
  using Scope = uint32_t;

  Status read_function(const View& bytes);
  Status read_property(const View& bytes);
  Status check_opsets(const View& bytes, uint32_t field) const;
  Status read_graph(const View& bytes);
  // Counts how often the graph without its initializers, `rest`, reads each of them.
  Status count_readers(const View& graph, const View& rest);
  void count_reader(const View& name);
  Status read_initializer(const View& bytes, Scope scope);
  Status read_input(const View& bytes);
  Status read_output(const View& bytes);
  // Counts a node, a call or a name, and bytes that were read for it. So a small file, whose functions call each other many
  // times, takes little time and memory.
  Status count(size_t bytes);
  Status read_nodes(const View& bytes, uint32_t field, Scope scope, int depth);
  Status read_node(const View& bytes, Scope scope, int depth);
  // Returns whether a kernel takes the type of a node's first input. Kernels of float16 are named so; blocks that no
  // encoder contains have none.
  bool takes_input(const OrtCustomOp& kernel, const View& bytes, Scope scope) const;
  Status call(const FunctionView& function, const NodeView& view, const View& bytes, Scope scope, int depth);
  Status read_constant(const NodeView& view, const View& bytes, Scope scope);
  Status create_kernel(const NodeView& view, const OrtCustomOp* kernel, Scope scope, GraphNode* node);
  Status create_standard(const NodeView& view, Scope scope, GraphNode* node);
  Status read_presence(const NodeView& view, Scope scope);
  Status read_branch(const NodeView& view, Scope scope, int depth);
  Status check_depth(const NodeView& view, int depth) const;
  // Refuses a node whose body has no value for one of its outputs.
  Status check_computed(const NodeView& view, int32_t value, const View& output) const;
  Status refuse(const NodeView& view) const;
  Status compute_constants(const GraphNode& node);
  Status keep_constants(const GraphNode& node, const bool* is_packed);
  Status plan();

  // Reads the names of a node's inputs or outputs.
  Status read_inputs(const View& bytes, Scope scope, GraphNode* node);
  Status add_outputs(const View& bytes, Scope scope, GraphNode* node);
  // Adds a constant that was read with a status; where that is an error, its memory is released.
  Status add_constant(Status status, Value* value, Scope scope, const View& name);
  Status add_value(const Value& value, int32_t* index);
  Status define(Scope scope, const View& name, int32_t value);

  Model& model_;
  Run run_;  // of nodes whose inputs are constants
  FileMemory file_;
  Arena arena_;       // names of initializers
  Array<char> rest_;  // the graph without initializers
  Names names_;
  Array<FunctionView> functions_;
  View caller_;  // the name of the node that calls the function being read
  uint32_t scopes_ = 0, parts_left_ = 1 << 17;  // nodes, calls and names
  size_t bytes_left_ = 0;
};

}  // namespace mbert
