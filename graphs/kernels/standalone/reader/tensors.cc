#include "standalone/reader/tensors.h"

#include "standalone/reader/attributes.h"
#include "standalone/reader/fields.h"

namespace mbert {

namespace {

using Field = TensorField;

Status external(View name) {
  return fail(Message() << "the tensor " << name << " is in another file (external data); expected one file with all "
                        << "weights: export it again, or run it with onnxruntime-web");
}

// Stores the low bytes of a number, which is all of it, or the bits of a float.
void store_bits(int type, uint64_t bits, void* data, size_t index) {
  const size_t size = element_bytes(type);
  uint8_t* to = static_cast<uint8_t*>(data) + index * size;
  for (size_t i = 0; i < size; i++) to[i] = static_cast<uint8_t>(bits >> 8 * i);
}

// The field that has the numbers of a type, where there are no raw bytes; 0 for a type that is not supported.
uint32_t field_of(int type) {
  switch (type) {
    case FLOAT: return Field::FLOATS;
    case DOUBLE: return Field::DOUBLES;
    case INT64: return Field::INT64S;
    default: return element_bytes(type) ? Field::INT32S : 0;
  }
}

Wire::Kind kind_of(uint32_t field) {
  return field == Field::FLOATS ? Wire::FIXED32 : field == Field::DOUBLES ? Wire::FIXED64 : Wire::VARINT;
}

// Reads the numbers of a tensor without raw bytes.
Status read_numbers(View bytes, View name, Tensor* tensor, void** memory) {
  const size_t count = tensor->count();
  const uint32_t field = field_of(tensor->type);
  char* data = nullptr;
  TRY(allocate_array(tensor_bytes(*tensor), &data));
  *memory = tensor->data = data;
  size_t written = 0;
  Wire wire(bytes);
  while (wire.next()) {
    if (wire.field != field) continue;
    Numbers numbers(wire, kind_of(field));
    for (uint64_t number; numbers.next(&number); written++)
      if (written < count) store_bits(tensor->type, number, data, written);
    if (numbers.is_malformed()) return malformed("the numbers of a tensor");
  }
  if (written != count)
    return fail(Message() << "the tensor " << name << " has " << static_cast<int64_t>(written) << " numbers; expected "
                          << static_cast<int64_t>(count) << ", as its shape says");
  return nullptr;
}

}  // namespace

Status read_tensor(View bytes, View* name, Tensor* tensor, void** memory) {
  Wire wire(bytes);
  View raw;
  bool has_raw = false, is_external = false, is_whole = true;
  while (wire.next()) {
    if (wire.is(Field::NAME, Wire::BYTES)) *name = wire.bytes;
    if (wire.is(Field::TYPE, Wire::VARINT)) tensor->type = wire.number < 32 ? static_cast<int>(wire.number) : UNDEFINED;
    if (wire.is(Field::RAW, Wire::BYTES)) raw = wire.bytes, has_raw = true;
    if (wire.field == Field::SEGMENT) is_whole = false;
    if (wire.field == Field::EXTERNAL || (wire.is(Field::LOCATION, Wire::VARINT) && wire.number)) is_external = true;
    if (wire.field != Field::DIMS) continue;
    Numbers sizes(wire, Wire::VARINT);
    for (uint64_t size; sizes.next(&size);) {
      if (tensor->rank == MAX_RANK)
        return fail(Message() << "the tensor " << *name << " has more axes than " << MAX_RANK << "; expected fewer");
      tensor->sizes[tensor->rank++] = static_cast<int64_t>(size);
    }
    if (sizes.is_malformed()) return malformed("the shape of a tensor");
  }
  if (wire.is_malformed()) return malformed("a tensor");
  if (is_external) return external(*name);
  if (!element_bytes(tensor->type) || !is_whole)
    return fail(Message() << "the tensor " << *name << " has elements of type " << tensor->type << (is_whole ? "" : ", in segments")
                          << "; expected float, float16, double, bool, or integers of 8 to 64 bits. Run this file with "
                          << "onnxruntime-web");
  if (!are_sizes(tensor->sizes, tensor->rank))
    return fail(Message() << "the tensor " << *name << " is " << *tensor << "; expected at most " << MAX_ELEMENTS
                          << " numbers");
  if (!has_raw) return read_numbers(bytes, *name, tensor, memory);
  if (raw.size != tensor_bytes(*tensor))
    return fail(Message() << "the tensor " << *name << " is " << *tensor << ", of "
                          << static_cast<int64_t>(tensor_bytes(*tensor)) << " bytes, but the file has "
                          << static_cast<int64_t>(raw.size) << "; expected a whole file");
  // Constants are never written to.
  tensor->data = const_cast<char*>(raw.data);
  return nullptr;
}

namespace {

Status read_size(View bytes, Arena* arena, int64_t* size, const char** name) {
  Wire wire(bytes);
  View text;
  *size = -1;
  while (wire.next()) {
    if (wire.is(DimField::VALUE, Wire::VARINT)) *size = wire.integer();
    if (wire.is(DimField::NAME, Wire::BYTES)) text = wire.bytes;
  }
  if (wire.is_malformed()) return malformed("the shape of an input or output");
  if (*size > MAX_ELEMENTS || *size < -1) return malformed("the shape of an input or output");
  return arena->copy(text, name, SHOWN);
}

Status read_shape(View bytes, Arena* arena, Port* port) {
  Wire wire(bytes);
  port->rank = 0;
  while (wire.next()) {
    if (!wire.is(ShapeField::DIM, Wire::BYTES)) continue;
    if (port->rank == MAX_RANK)
      return fail(Message() << "an input or output has more axes than " << MAX_RANK << "; expected fewer");
    TRY(read_size(wire.bytes, arena, &port->sizes[port->rank], &port->size_names[port->rank]));
    port->rank++;
  }
  return wire.is_malformed() ? malformed("the shape of an input or output") : nullptr;
}

// Finds a field that is a message. The last one counts.
Status find_message(View bytes, uint32_t field, View* found) {
  Wire wire(bytes);
  while (wire.next())
    if (wire.is(field, Wire::BYTES)) *found = wire.bytes;
  return wire.is_malformed() ? malformed("the type of an input or output") : nullptr;
}

}  // namespace

Status read_port(View bytes, Arena* arena, View* name, Port* port) {
  View type, tensor;
  TRY(find_message(bytes, ValueField::NAME, name));
  TRY(find_message(bytes, ValueField::TYPE, &type));
  TRY(find_message(type, TypeField::TENSOR, &tensor));
  port->rank = -1;
  port->type = UNDEFINED;
  Wire wire(tensor);
  while (wire.next()) {
    if (wire.is(TensorTypeField::TYPE, Wire::VARINT)) port->type = wire.number < 32 ? static_cast<int>(wire.number) : 0;
    if (wire.is(TensorTypeField::SHAPE, Wire::BYTES)) TRY(read_shape(wire.bytes, arena, port));
  }
  if (wire.is_malformed()) return malformed("the type of an input or output");
  if (!element_bytes(port->type))
    return fail(Message() << "the input or output " << *name << " has elements of type " << port->type
                          << "; expected float, float16, double, bool, or integers of 8 to 64 bits. Run this file with "
                          << "onnxruntime-web");
  return arena->copy(*name, &port->name);
}

}  // namespace mbert
