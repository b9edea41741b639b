// ONNX's messages as lists of fields, for mutations that leave all lengths right.
#pragma once

#include <string>
#include <vector>

#include "random.h"

// The kinds of messages, and of bytes that are none.
enum class Kind : uint8_t {
  MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, VALUE, TYPE, TENSOR_TYPE, SHAPE, DIM, FUNCTION, OPSET, PROPERTY,
  NAME,   // of a value
  WORD,   // another text
  BYTES,  // numbers
};

struct Field {
  uint32_t number;
  int wire;            // 0: a varint, 1: 8 bytes, 2: bytes, 5: 4 bytes
  uint64_t integer;    // of all but bytes
  std::string bytes;
};

// Reads the fields of a message. Returns false where it is malformed.
bool read_fields(const std::string& message, std::vector<Field>* fields);
std::string write_fields(const std::vector<Field>& fields);

// The kind of the bytes of a field of a message.
Kind kind_of(Kind message, uint32_t field);
inline bool is_message(Kind kind) { return kind < Kind::NAME; }
