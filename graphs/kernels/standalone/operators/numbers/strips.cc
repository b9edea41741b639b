#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

template <class Element, class Number>
void load(const void* data, size_t first, int stride, int count, Number* numbers) {
  const Element* from = static_cast<const Element*>(data) + first;
  for (int i = 0; i < count; i++) numbers[i] = static_cast<Number>(from[i * stride]);
}

template <class Element, class Bits>
void store(const int64_t* numbers, int count, void* data, size_t first) {
  Element* to = static_cast<Element*>(data) + first;
  for (int i = 0; i < count; i++) to[i] = static_cast<Element>(static_cast<Bits>(numbers[i]));
}

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, magnitude = half & 0x7fff;
  if (magnitude < 0x400) {  // 0, or a multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
    return sign ? -value : value;
  }
  // The exponent has 3 bits more in float32; infinity and NaN keep theirs all set.
  const uint32_t bits = magnitude >= 0x7c00 ? 0x7f800000 | magnitude << 13 : (magnitude << 13) + 0x38000000;
  return float_of(sign | bits);
}

// Rounds to the nearest float16, ties to even.
uint16_t float_to_half(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;         // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00;        // from 65520 on: infinity
  if (magnitude < 0x38800000) {                             // below 2^-14: a multiple of 2^-24
    // The sum with 0.5 has its last bit at 2^-24, so that the addition rounds.
    const float shifted = float_of(magnitude) + 0.5f;
    __builtin_memcpy(&bits, &shifted, sizeof(bits));
    return static_cast<uint16_t>(sign | (bits - 0x3f000000));
  }
  const uint32_t rounded = magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

// The nearest integer towards 0 that fits; 0 for NaN.
int64_t integer_of(double real) {
  constexpr double BEHIND = 9223372036854775808.0;  // 2^63
  if (real >= BEHIND) return INT64_MAX;
  if (real < -BEHIND) return INT64_MIN;
  return real == real ? static_cast<int64_t>(real) : 0;
}

}  // namespace

int bits_type(int type) {
  switch (element_bytes(type)) {
    case 1: return UINT8;
    case 2: return INT16;
    case 4: return INT32;
    default: return INT64;
  }
}

void load_numbers(int type, const void* data, size_t first, int stride, int count, void* numbers) {
  double* reals = static_cast<double*>(numbers);
  int64_t* integers = static_cast<int64_t*>(numbers);
  switch (type) {
    case FLOAT: return load<float>(data, first, stride, count, reals);
    case DOUBLE: return load<double>(data, first, stride, count, reals);
    case FLOAT16: {
      const uint16_t* from = static_cast<const uint16_t*>(data) + first;
      for (int i = 0; i < count; i++) reals[i] = static_cast<double>(half_to_float(from[i * stride]));
      return;
    }
    case UINT8:
    case BOOL: return load<uint8_t>(data, first, stride, count, integers);
    case INT8: return load<int8_t>(data, first, stride, count, integers);
    case UINT16: return load<uint16_t>(data, first, stride, count, integers);
    case INT16: return load<int16_t>(data, first, stride, count, integers);
    case INT32: return load<int32_t>(data, first, stride, count, integers);
    default: return load<int64_t>(data, first, stride, count, integers);
  }
}

void store_numbers(int type, const void* numbers, int count, void* data, size_t first) {
  const double* reals = static_cast<const double*>(numbers);
  const int64_t* integers = static_cast<const int64_t*>(numbers);
  switch (type) {
    case FLOAT:
      for (int i = 0; i < count; i++) static_cast<float*>(data)[first + i] = static_cast<float>(reals[i]);
      return;
    case DOUBLE:
      for (int i = 0; i < count; i++) static_cast<double*>(data)[first + i] = reals[i];
      return;
    case FLOAT16:
      for (int i = 0; i < count; i++)
        static_cast<uint16_t*>(data)[first + i] = float_to_half(static_cast<float>(reals[i]));
      return;
    case BOOL:
      for (int i = 0; i < count; i++) static_cast<uint8_t*>(data)[first + i] = integers[i] != 0;
      return;
    case UINT8:
    case INT8: return store<uint8_t, uint8_t>(integers, count, data, first);
    case UINT16:
    case INT16: return store<uint16_t, uint16_t>(integers, count, data, first);
    case INT32: return store<uint32_t, uint32_t>(integers, count, data, first);
    default: return store<int64_t, int64_t>(integers, count, data, first);
  }
}

void to_integers(Strip* strip, int count) {
  for (int i = 0; i < count; i++) strip->integers[i] = integer_of(strip->reals[i]);
}

void to_reals(Strip* strip, int count) {
  for (int i = 0; i < count; i++) strip->reals[i] = static_cast<double>(strip->integers[i]);
}

Status NumberArray::load(const Tensor& tensor) {
  const size_t count = tensor.count();
  release_memory(memory_);
  memory_ = nullptr;
  int64_t* array = nullptr;
  TRY(allocate_array(count, &array));
  memory_ = array;
  load_numbers(tensor.type, tensor.data, 0, 1, static_cast<int>(count), array);
  return nullptr;
}

Status copy_numbers(const Tensor& from, int type, void* to) {
  Strip strip;
  const size_t count = from.count();
  for (size_t first = 0; first < count; first += STRIP) {
    const int length = static_cast<int>(count - first < STRIP ? count - first : STRIP);
    load_numbers(from.type, from.data, first, 1, length, &strip);
    store_numbers(type, &strip, length, to, first);
  }
  return nullptr;
}

Status load_list(const Tensor& tensor, const char* what, int64_t* list, int most, int* count) {
  if (tensor.rank > 1 || tensor.count() > static_cast<size_t>(most))
    return fail(failure() << what << " is " << tensor << "; expected at most " << most << " numbers");
  *count = static_cast<int>(tensor.count());
  load_numbers(tensor.type, tensor.data, 0, 1, *count, list);
  return nullptr;
}

BroadcastWalk::BroadcastWalk(const int64_t* sizes, int rank, const Tensor* const* tensors, int count) : count_(count) {
  // Axes are joined with the one before them where each tensor reads both in order, or both as one number.
  int64_t strides[MOST][MAX_RANK];
  for (int i = 0; i < count; i++) tensors[i]->broadcasts_to(sizes, rank, strides[i]);
  sizes_[0] = 1;
  for (int axis = 0; axis < rank; axis++) {
    total_ *= static_cast<size_t>(sizes[axis]);
    if (sizes[axis] == 1) continue;
    bool can_join = true;
    for (int i = 0; i < count; i++) can_join = can_join && strides_[i][last_] == strides[i][axis] * sizes[axis];
    if (!can_join && sizes_[last_] != 1) last_++, sizes_[last_] = 1;
    sizes_[last_] *= sizes[axis];
    for (int i = 0; i < count; i++) strides_[i][last_] = strides[i][axis];
  }
}

bool BroadcastWalk::next() {
  first_ += static_cast<size_t>(length_);
  offset_ += static_cast<size_t>(length_);
  if (first_ >= total_) return false;
  if (static_cast<int64_t>(offset_) == sizes_[last_]) {
    offset_ = 0;
    for (int axis = last_ - 1; axis >= 0; axis--) {
      for (int i = 0; i < count_; i++) at_[i] += static_cast<size_t>(strides_[i][axis]);
      if (++index_[axis] < sizes_[axis]) break;
      for (int i = 0; i < count_; i++) at_[i] -= static_cast<size_t>(strides_[i][axis] * sizes_[axis]);
      index_[axis] = 0;
    }
  }
  const int64_t left = sizes_[last_] - static_cast<int64_t>(offset_);
  length_ = static_cast<int>(left < STRIP ? left : STRIP);
  return true;
}

Status broadcast_shape(const Tensor* const* tensors, int count, int64_t* sizes, int* rank) {
  *rank = 0;
  for (int i = 0; i < count; i++) *rank = tensors[i]->rank > *rank ? tensors[i]->rank : *rank;
  for (int axis = 0; axis < *rank; axis++) sizes[axis] = 1;
  for (int i = 0; i < count; i++) {
    const Tensor& tensor = *tensors[i];
    for (int axis = 0; axis < tensor.rank; axis++) {
      int64_t& size = sizes[*rank - tensor.rank + axis];
      if (tensor.sizes[axis] == 1 || size == tensor.sizes[axis]) continue;
      if (size != 1) return fail(failure() << "its inputs are " << *tensors[0] << " and " << tensor << "; expected shapes that broadcast");
      size = tensor.sizes[axis];
    }
  }
  return are_sizes(sizes, *rank) ? nullptr : fail(failure() << "its inputs broadcast to too many numbers; expected fewer");
}

}  // namespace mbert
