// Tensors and types as they are in the file.
#pragma once

#include "standalone/model/model.h"
#include "standalone/reader/wire.h"

namespace mbert {

// Reads a TensorProto. The data of `tensor` lies in the file, or in `memory`, which the caller releases, also after an
// error.
Status read_tensor(const View& bytes, View* name, Tensor* tensor, void** memory);

// Checks that tensors of an element type are supported.
Status check_type(const View& name, int64_t type, int* checked);

// Reads the name of a ValueInfoProto.
Status read_name(const View& bytes, View* name);
// Reads a ValueInfoProto. `port` gets its type and sizes.
Status read_port(const View& bytes, Arena* arena, View* name, Port* port);

}  // namespace mbert
