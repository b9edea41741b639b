// The numbers of the fields in onnx.proto that the runtime reads.
#pragma once

#include <stdint.h>

namespace mbert {

struct ModelField {
  enum : uint32_t { IR_VERSION = 1, GRAPH = 7, OPSET_IMPORT = 8, METADATA = 14, TRAINING_INFO = 20, FUNCTIONS = 25 };
};
struct OpsetField {
  enum : uint32_t { DOMAIN = 1, VERSION = 2 };
};
struct PropertyField {
  enum : uint32_t { KEY = 1, VALUE = 2 };
};
struct GraphField {
  enum : uint32_t { NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12, SPARSE_INITIALIZER = 15 };
};
struct FunctionField {
  enum : uint32_t { NAME = 1, INPUT = 4, OUTPUT = 5, NODE = 7, OPSET_IMPORT = 9, DOMAIN = 10, OVERLOAD = 13 };
};
struct NodeField {
  enum : uint32_t { INPUT = 1, OUTPUT = 2, NAME = 3, TYPE = 4, ATTRIBUTE = 5, DOMAIN = 7, OVERLOAD = 8 };
};
struct AttributeField {
  enum : uint32_t {
    NAME = 1, FLOAT = 2, INT = 3, STRING = 4, TENSOR = 5, GRAPH = 6, FLOATS = 7, INTS = 8, TYPE = 20, REFERENCE = 21
  };
};
struct TensorField {
  enum : uint32_t {
    DIMS = 1, TYPE = 2, SEGMENT = 3, FLOATS = 4, INT32S = 5, STRINGS = 6, INT64S = 7, NAME = 8, RAW = 9, DOUBLES = 10,
    UINT64S = 11, EXTERNAL = 13, LOCATION = 14
  };
};
struct ValueField {
  enum : uint32_t { NAME = 1, TYPE = 2 };
};
struct TypeField {
  enum : uint32_t { TENSOR = 1 };
};
struct TensorTypeField {
  enum : uint32_t { TYPE = 1, SHAPE = 2 };
};
struct ShapeField {
  enum : uint32_t { DIM = 1 };
};
struct DimField {
  enum : uint32_t { VALUE = 1, NAME = 2 };
};

}  // namespace mbert
