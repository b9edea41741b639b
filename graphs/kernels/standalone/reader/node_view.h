// A node as it is in the file.
#pragma once

#include "standalone/reader/attributes.h"

namespace mbert {

struct NodeView {
  View attributes;  // the bytes of the node, which have its attributes among other fields
  View name, type, domain, overload;

  Status read(const View& bytes);
};

// Returns how often a message has a field of bytes.
int count_fields(const View& message, uint32_t field);

}  // namespace mbert
