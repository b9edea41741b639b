// A node as it is in the file.
#pragma once

#include "standalone/reader/attributes.h"

namespace mbert {

struct NodeView {
  View attributes;  // the bytes of the node, which have its attributes among other fields
  View name, type, domain, overload;

  Status read(const View& bytes);
};

// Goes to the next field of bytes with a number; false where there is none.
bool next_field(Wire* wire, uint32_t field);
// Returns how often a message has a field of bytes.
int count_fields(const View& message, uint32_t field);

}  // namespace mbert
