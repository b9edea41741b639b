#include "operators/weights.h"

#include "ort/weight_memory.h"

namespace mbert {

namespace {

// The largest k: the sum of this many products of bytes fits 32 bits. The same limit serves for n.
constexpr int64_t MAX_SIZE = 1 << 16;

int type_of(Precision precision) {
  return precision == Precision::INT8 ? INT8 : precision == Precision::HALF ? FLOAT16 : FLOAT;
}

const char* name_of(Precision precision) {
  return precision == Precision::INT8 ? "int8" : precision == Precision::HALF ? "float16" : "float";
}

size_t element_bytes(Precision precision) {
  return precision == Precision::INT8 ? 1 : precision == Precision::HALF ? sizeof(uint16_t) : sizeof(float);
}

}  // namespace

void WeightReader::read(Weight* weight, int* k, int* n, bool has_bias, const char* name) {
  if (!status_) status_ = read_one(weight, k, n, has_bias, name);
}

void WeightReader::read(BottleneckAttention* block) {
  int columns_in = 3 * block->intra;
  read(&block->weight_in, &block->hidden, &columns_in, true, "weight_in");
  if (columns_in % 3)
    refuse(Message() << "weight_in has " << columns_in << " columns; expected a multiple of 3");
  block->intra = columns_in / 3;
  int columns_qk = 2 * block->intra;
  read(&block->weight_qk, &block->intra, &columns_qk, true, "weight_qk");
  read(&block->weight_out, &block->intra, &block->intra, false, "weight_out");
}

void WeightReader::read(StackedFFN* block, int networks) {
  block->networks = networks;
  for (int i = 0; i < networks; i++) {
    read(&block->weight1[i], &block->intra, &block->intermediate, true, "weight1");
    read(&block->weight2[i], &block->intermediate, &block->intra, false, "weight2");
  }
  read(&block->weight_out, &block->intra, &block->hidden, false, "weight_out");
}

void WeightReader::read(float** factors, int* n, const char* name) {
  if (!status_) status_ = vector(factors, n, name, "vector");
}

void WeightReader::refuse(const Message& message) {
  if (!status_) status_ = ort_.fail(message);
}

Status WeightReader::status() { return status_; }

Status WeightReader::read_one(Weight* weight, int* k, int* n, bool has_bias, const char* name) {
  Tensor tensor;
  TRY(ort_.constant(info_, next_++, Message() << name, &tensor));
  if (!tensor.is(type_of(precision_), 2))
    return ort_.fail(Message() << name << " is " << tensor << "; expected " << name_of(precision_) << " [in, out]");
  for (int i = 0; i < 2; i++)
    if (tensor.sizes[i] < 1 || tensor.sizes[i] > MAX_SIZE)
      return ort_.fail(Message() << name << " is " << tensor << "; expected sizes of 1 to " << MAX_SIZE);
  const int rows = static_cast<int>(tensor.sizes[0]), columns = static_cast<int>(tensor.sizes[1]);
  if ((*k && *k != rows) || (*n && *n != columns))
    return ort_.fail(Message() << name << " is " << tensor << "; expected [" << (*k ? *k : rows) << ", "
                               << (*n ? *n : columns) << "]");
  *k = weight->k = rows;
  *n = weight->n = columns;
  TRY(take_weight_memory(ort_, isa_.packed_bytes(precision_, rows, columns), &weight->panels));
  if (precision_ == Precision::INT8) {
    isa_.pack_int8(static_cast<const int8_t*>(tensor.data), rows, columns, weight->panels);
    TRY(vector(&weight->scales, n, name, "scale"));
  } else if (precision_ == Precision::HALF) {
    isa_.pack_half(static_cast<const uint16_t*>(tensor.data), rows, columns, weight->panels);
  } else {
    isa_.pack_float(tensor.floats(), rows, columns, weight->panels);
  }
  mapped_.give_back(tensor.data, element_bytes(precision_) * rows * columns);
  return has_bias ? vector(&weight->bias, n, name, "bias") : nullptr;
}

Status WeightReader::vector(float** padded, int* n, const char* name, const char* what) {
  Tensor tensor;
  TRY(ort_.constant(info_, next_++, Message() << "the " << what << " of " << name, &tensor));
  const bool is_half = precision_ == Precision::HALF;
  if (!tensor.is(is_half ? FLOAT16 : FLOAT, 1) || tensor.sizes[0] < 1 || tensor.sizes[0] > MAX_SIZE ||
      (*n && tensor.sizes[0] != *n))
    return ort_.fail(Message() << "the " << what << " of " << name << " is " << tensor << "; expected "
                               << (is_half ? "float16 [" : "float [") << *n << "]");
  *n = static_cast<int>(tensor.sizes[0]);
  const int padded_n = round_up(*n, isa_.panel(precision_));
  void* memory = nullptr;
  TRY(take_weight_memory(ort_, padded_n * sizeof(float), &memory));
  *padded = static_cast<float*>(memory);
  if (is_half)
    isa_.halves_to_floats(static_cast<const uint16_t*>(tensor.data), *n, *padded);
  else
    for (int i = 0; i < *n; i++) (*padded)[i] = tensor.floats()[i];
  for (int i = *n; i < padded_n; i++) (*padded)[i] = 0.0f;
  return nullptr;
}

void release(const Ort& ort, Weight* weight) {
  release_weight_memory(ort, weight->panels);
  release_weight_memory(ort, weight->scales);
  release_weight_memory(ort, weight->bias);
}

void release(const Ort& ort, float** numbers) { release_weight_memory(ort, *numbers); }

void release(const Ort& ort, BottleneckAttention* block) {
  release(ort, &block->weight_in);
  release(ort, &block->weight_qk);
  release(ort, &block->weight_out);
}

void release(const Ort& ort, StackedFFN* block) {
  for (int i = 0; i < block->networks; i++) {
    release(ort, &block->weight1[i]);
    release(ort, &block->weight2[i]);
  }
  release(ort, &block->weight_out);
}

}  // namespace mbert
