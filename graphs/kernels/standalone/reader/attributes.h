// The attributes of a node, as they are in the file.
#pragma once

#include "standalone/reader/wire.h"

namespace mbert {

struct Attribute {
  // OTHER: of a kind that no operator here has, such as a graph, or a reference to a function's attribute.
  enum Kind { MISSING, INTEGER, REAL, TEXT, TENSOR, INTEGERS, REALS, OTHER };

  View name;
  Kind kind = MISSING;
  int64_t integer = 0;
  float real = 0.0f;
  View text;         // of a string, or the bytes of a tensor
  size_t count = 0;  // the numbers of a list
};

// Reads an attribute from the bytes of its message.
Status read_attribute(View bytes, Attribute* attribute);

// Finds an attribute of a node, given the bytes of the node. `kind` stays MISSING where there is none.
Status find_attribute(View node, const char* name, Attribute* attribute);

// Reads the list of a node's attribute, which has `count` numbers. Reals are stored as their bits.
Status read_integers(View node, const char* name, int64_t* numbers, size_t count);

Status malformed(const char* what);

}  // namespace mbert
