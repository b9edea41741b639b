#include "ort/ort.h"

namespace mbert {

bool Tensor::broadcasts_to(const int64_t* shape, int shape_rank, int64_t* strides) const {
  if (rank > shape_rank || rank > MAX_RANK) return false;
  int64_t stride = 1;
  for (int axis = shape_rank - 1; axis >= 0; axis--) {
    const int own = axis - (shape_rank - rank);
    const int64_t size = own < 0 ? 1 : sizes[own];
    if (size != 1 && size != shape[axis]) return false;
    strides[axis] = size == 1 ? 0 : stride;
    stride *= size;
  }
  return true;
}

Message& Message::operator<<(const char* text) {
  while (*text && length_ + 1 < sizeof(text_)) text_[length_++] = *text++;
  text_[length_] = 0;
  return *this;
}

Message& Message::operator<<(int64_t number) {
  char digits[24];
  int place = sizeof(digits);
  digits[--place] = 0;
  uint64_t remaining = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  do {
    digits[--place] = static_cast<char>('0' + remaining % 10);
    remaining /= 10;
  } while (remaining);
  if (number < 0) digits[--place] = '-';
  return *this << digits + place;
}

Message& Message::operator<<(const Tensor& tensor) {
  // By ONNX's numbers.
  static constexpr const char* NAMES[] = {nullptr, "float", "uint8", "int8", "uint16",  "int16",
                                          "int32", "int64", nullptr, "bool", "float16", "double"};
  const char* name = tensor.type >= 0 && tensor.type <= DOUBLE ? NAMES[tensor.type] : nullptr;
  if (name)
    *this << name;
  else
    *this << "type " << tensor.type;
  *this << " [";
  for (int i = 0; i < tensor.rank && i < MAX_RANK; i++) *this << (i ? ", " : "") << tensor.sizes[i];
  return *this << "]";
}

}  // namespace mbert
