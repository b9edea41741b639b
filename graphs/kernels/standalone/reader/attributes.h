// The attributes of a node, as they are in the file.
#pragma once

#include "standalone/reader/wire.h"

namespace mbert {

struct Attribute {
  // OTHER: of a kind that no operator here has, or a reference to a function's attribute.
  enum Kind { MISSING, INTEGER, REAL, TEXT, TENSOR, GRAPH, INTEGERS, REALS, OTHER };

  View name, text, tensor, graph, reference;
  int64_t type = 0;
  int64_t integer = 0;
  float real = 0.0f;
  Kind kind = MISSING;
  size_t count = 0;  // the numbers of a list

  // Returns the bits of `real`.
  int64_t real_bits() const;
};

// Reads an attribute from the bytes of its message.
Status read_attribute(const View& bytes, Attribute* attribute);

// Finds an attribute of a node, given the bytes of the node. `kind` stays MISSING where there is none.
Status find_attribute(const View& node, const char* name, Attribute* attribute);

// Reads the list of a node's attribute, which has `count` numbers. Reals are stored as their bits.
Status read_integers(const View& node, const char* name, int64_t* numbers, size_t count);

}  // namespace mbert
