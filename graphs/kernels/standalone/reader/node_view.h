// A node as it is in the file.
#pragma once

#include "standalone/reader/attributes.h"

namespace mbert {

struct NodeView {
  View attributes;  // the bytes of the node, which have its attributes among other fields
  View name, type, domain, overload;
  int inputs = 0, outputs = 0;  // their number

  Status read(View bytes);
};

}  // namespace mbert
