// Element types of tensors, and the limits of their sizes.
#pragma once

#include "ort/ort.h"

namespace mbert {

// Sets of element types.
constexpr uint32_t type_bit(int type) { return uint32_t{1} << type; }
constexpr uint32_t REALS = type_bit(FLOAT) | type_bit(FLOAT16) | type_bit(DOUBLE);
constexpr uint32_t INTEGERS = type_bit(UINT8) | type_bit(INT8) | type_bit(UINT16) | type_bit(INT16) | type_bit(INT32) |
                              type_bit(INT64);
constexpr uint32_t NUMBERS = REALS | INTEGERS, ANY_TYPE = NUMBERS | type_bit(BOOL);

constexpr bool is_in(int type, uint32_t types) { return type >= 0 && type < 32 && (types & type_bit(type)) != 0; }

// The largest number of elements of a tensor, and the largest of any of its sizes. With it, products of sizes, and their
// sums, fit 64 bits, and the bytes of a tensor fit a size_t, which has 32 bits in WebAssembly.
constexpr int64_t MAX_ELEMENTS = sizeof(size_t) < sizeof(int64_t) ? INT32_MAX / 8 : INT32_MAX;

// Returns the bytes of an element; 0 for a type that is not supported.
constexpr size_t element_bytes(int type) {
  switch (type) {
    case UINT8:
    case INT8:
    case BOOL: return 1;
    case UINT16:
    case INT16:
    case FLOAT16: return 2;
    case FLOAT:
    case INT32: return 4;
    case INT64:
    case DOUBLE: return 8;
    default: return 0;
  }
}

// Returns whether sizes are within the limits: none is negative, and so many elements are allowed, where a size of 0
// counts as 1.
inline bool are_sizes(const int64_t* sizes, int rank) {
  int64_t count = 1;
  if (rank < 0 || rank > MAX_RANK) return false;
  for (int axis = 0; axis < rank; axis++) {
    if (sizes[axis] < 0 || sizes[axis] > MAX_ELEMENTS) return false;
    count *= sizes[axis] ? sizes[axis] : 1;
    if (count > MAX_ELEMENTS) return false;
  }
  return true;
}

inline size_t tensor_bytes(const Tensor& tensor) { return tensor.count() * element_bytes(tensor.type); }

}  // namespace mbert
