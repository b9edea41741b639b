// A standard operator: its types, its attributes, and the function that computes a node.
#pragma once

#include "standalone/host/node_run.h"
#include "standalone/reader/node_view.h"

namespace mbert {

// An attribute that an operator has. Kinds: an integer, a real number, a list of integers, one of some words (stored as its
// place among them), or an integer that must have the value `standard`. Without `standard`, it must be there.
struct AttributeRule {
  enum Kind : uint8_t { INTEGER, REAL, LIST, WORD, FIXED } kind;
  bool is_required;
  const char* name;
  int32_t standard = 0;       // of a real number: its bits
  const char* words = nullptr;  // each ends with a space
};

// What a node has when the model is loaded.
struct Loading {
  Model& model;
  GraphNode& node;
  // For each input, whether the node has copied it: a run does not read it.
  bool* is_packed;

  const Value& input(int index) const { return model.values[static_cast<size_t>(node.inputs[index])]; }
  bool has(int index) const { return index < node.input_count && node.inputs[index] >= 0; }
  bool is_constant(int index) const { return has(index) && input(index).is_constant; }
  Value& output(int index) const { return model.values[static_cast<size_t>(node.outputs[index])]; }
};

// What an operator does with a node when the model is loaded; and with the state that it made, when the model is released.
struct Preparation {
  Status (*load)(Loading& node);
  void (*destroy)(void* state);
};

struct Operator {
  const char* name;
  // The types of inputs, ">", and those of outputs. T: one of `types`, the same for all; X: any; L: int64; I: int64 or
  // int32; B: bool; F: float; U: uint8; J: int32; Q: uint8 or int8; ?: `load` sets it. Small letters: optional inputs.
  // "*": more of the last.
  const char* signature;
  uint32_t types;
  const AttributeRule* rules;
  uint8_t rule_count;
  uint8_t code;  // for `run`, where it computes several operators
  Status (*run)(NodeRun& node);
  const Preparation* preparation = nullptr;
};

// Reads the attributes of a node by the rules of its operator.
Status read_attributes(const NodeView& view, Arena* arena, GraphNode* node);
// Checks the types of inputs, and sets those of outputs that the signature has.
Status check_types(Loading& node);

inline float real_attribute(const GraphNode& node, int index) {
  return float_of(static_cast<uint64_t>(node.attributes[index]));
}

// The message of a failure that begins with the name and the operator of a node in the file.
Message& about_node(const NodeView& view);

}  // namespace mbert
