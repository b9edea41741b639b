// A model that was loaded: its values, and its nodes in the order in which they are computed.
#pragma once

#include "isa/isa.h"
#include "standalone/model/array.h"
#include "standalone/model/elements.h"

namespace mbert {

struct Operator;

// A value: an input of the model, a constant, or an output of a node.
struct Value {
  int type;          // of its elements
  Tensor tensor;     // of a constant, or the default of an input; else without data
  void* memory;      // of the tensor; null where it lies in the file
  bool is_constant;  // and not the default of an input
  bool is_input, is_output;
  bool is_kept;      // a run may read the constant
  int32_t readers;   // of an initializer: nodes and outputs of the graph that may still read it, where they are counted
};

// A node. `state` is what a kernel or an operator made when the model was loaded, such as packed weights.
struct GraphNode {
  const Operator* standard;    // one of these two
  const OrtCustomOp* kernel;
  void* state;
  const char *name, *type;     // for messages
  const int32_t *inputs, *outputs;  // indices of values; −1 where an optional one is missing
  int input_count, output_count;
  // The attributes of a standard operator, in the order of its rules: an integer, or the bits of a float.
  int64_t attributes[4];
  const int64_t* list;         // its list of integers
  int list_count;              // −1: it has none
  const int32_t* released;     // values that no later node reads
  int released_count;
};

// An input or output of the model. A size that is not fixed is −1, and may have a name.
struct Port {
  const char* name;
  int value;
  Tensor tensor;  // its type and sizes, without data; rank −1: not known
  const char* size_names[MAX_RANK];
};

struct Property {
  const char *key, *value;
};

struct Model {
  ~Model();

  Arena arena;
  Array<Value> values;
  Array<GraphNode> nodes;
  Array<Port> inputs, outputs;
  Array<Property> metadata;
  int threads = 1;
  char* description = nullptr;
};

// Loads a model from the bytes of its file. `owned`: their memory, which is released; null where it is the caller's. On
// failure, the model is left as far as it was loaded.
Status load_model(const View& file, void* owned, Model* model);

// Copies a constant that lies in the file, where it may not be aligned.
Status own(Value* value);
// Copies a constant that lies in the file, so that runs can read it.
Status keep(Value* value);

// Writes the JSON of mbert_describe; returns null where no memory is left.
const char* describe(Model* model);

// The end of messages about files that are valid, but not what the runtime has.
constexpr const char* ADVICE = "; run this file with onnxruntime-web";

// The message of a failure that begins with the name and the operator of a node.
Message& about(const char* name, const char* type);
// Puts them before the last error.
Status fail_within(const char* name, const char* type);

}  // namespace mbert
