#include "standalone/reader/tensors.h"

#include "standalone/reader/attributes.h"
#include "standalone/reader/fields.h"

namespace mbert {

namespace {

using Field = TensorField;

Status external(const View& name) {
  return fail(failure() << "the tensor " << name << " is in another file (external data); export one file" << ADVICE);
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
Status read_numbers(const View& bytes, const View& name, Tensor* tensor, void** memory) {
  const size_t count = tensor->count();
  const uint32_t field = field_of(tensor->type);
  // Each number takes a byte of the file at least: where there are fewer, none is stored.
  const size_t room = count <= bytes.size ? count : 0;
  char* data = nullptr;
  TRY(allocate_array(room * element_bytes(tensor->type), &data));
  *memory = tensor->data = data;
  size_t written = 0;
  Wire wire(bytes);
  while (wire.next()) {
    if (wire.field() != field) continue;
    Numbers numbers(wire, kind_of(field));
    for (uint64_t number; numbers.next(&number); written++)
      if (written < room) store_bits(tensor->type, number, data, written);
    if (numbers.is_malformed()) return malformed("the numbers of a tensor");
  }
  if (written != count)
    return fail(failure() << "the tensor " << name << " has " << static_cast<int64_t>(written) << " numbers; expected "
                          << static_cast<int64_t>(count) << ", as its shape says");
  return nullptr;
}

}  // namespace

namespace {

struct TensorFields {
  View name, raw, external;
  int64_t type = 0, location = 0;
};

Status read_sizes(const View& bytes, Tensor* tensor) {
  for (Wire wire(bytes); wire.next();) {
    if (wire.field() != Field::DIMS) continue;
    Numbers sizes(wire, Wire::VARINT);
    for (uint64_t size; sizes.next(&size);) {
      if (tensor->rank == MAX_RANK) return malformed("a tensor with more than 8 axes");
      tensor->sizes[tensor->rank++] = static_cast<int64_t>(size);
    }
    if (sizes.is_malformed()) return malformed("the shape of a tensor");
  }
  return nullptr;
}

}  // namespace

Status check_type(const View& name, int64_t type, int* checked) {
  *checked = type < 32 ? static_cast<int>(type) : UNDEFINED;
  if (type >= 0 && element_bytes(*checked)) return nullptr;
  return fail(failure() << "the tensor " << name << " has the element type " << type << " of ONNX; expected float, float16, "
                        << "double, bool, or integers" << ADVICE);
}

Status read_tensor(const View& bytes, View* name, Tensor* tensor, void** memory) {
  static constexpr FieldRule RULES[] = {
      {bytes_tag(Field::NAME), __builtin_offsetof(TensorFields, name)},
      {bytes_tag(Field::RAW), __builtin_offsetof(TensorFields, raw)},
      {bytes_tag(Field::EXTERNAL), __builtin_offsetof(TensorFields, external)},
      {varint_tag(Field::TYPE), __builtin_offsetof(TensorFields, type)},
      {varint_tag(Field::LOCATION), __builtin_offsetof(TensorFields, location)},
  };
  TensorFields fields;
  TRY(read_fields(bytes, RULES, &fields, "a tensor"));
  *name = fields.name;
  if (fields.external.size || fields.location) return external(*name);
  TRY(check_type(*name, fields.type, &tensor->type));
  TRY(read_sizes(bytes, tensor));
  if (!are_sizes(tensor->sizes, tensor->rank))
    return fail(failure() << "the tensor " << *name << " is " << *tensor << "; expected at most " << MAX_ELEMENTS
                          << " numbers");
  if (!fields.raw.data) return read_numbers(bytes, *name, tensor, memory);
  if (fields.raw.size != tensor_bytes(*tensor))
    return fail(failure() << "the tensor " << *name << " is " << *tensor << ", but the file has "
                          << static_cast<int64_t>(fields.raw.size) << " bytes; expected "
                          << static_cast<int64_t>(tensor_bytes(*tensor)));
  // Constants are never written to.
  tensor->data = const_cast<char*>(fields.raw.data);
  return nullptr;
}

namespace {

struct Size {
  int64_t number = -1;
  View name;
};

Status read_shape(const View& bytes, Arena* arena, Port* port) {
  static constexpr FieldRule RULES[] = {{varint_tag(DimField::VALUE), __builtin_offsetof(Size, number)},
                                        {bytes_tag(DimField::NAME), __builtin_offsetof(Size, name)}};
  constexpr const char* WHAT = "the shape of an input or output";
  port->tensor.rank = 0;
  Wire wire(bytes);
  while (wire.next()) {
    if (!wire.is(ShapeField::DIM, Wire::BYTES)) continue;
    Size size;
    TRY(read_fields(wire.bytes, RULES, &size, WHAT));
    if (port->tensor.rank == MAX_RANK || size.number > MAX_ELEMENTS || size.number < -1) return malformed(WHAT);
    port->tensor.sizes[port->tensor.rank] = size.number;
    TRY(arena->copy(size.name, &port->size_names[port->tensor.rank++], SHOWN));
  }
  return wire.is_malformed() ? malformed(WHAT) : nullptr;
}

// A message in messages, each of which has one field that matters.
Status find_message(const View& bytes, uint32_t field, View* found) {
  const FieldRule rules[] = {{bytes_tag(field), 0}};
  return read_fields(bytes, rules, found, "the type of an input or output");
}

}  // namespace

Status read_name(const View& bytes, View* name) { return find_message(bytes, ValueField::NAME, name); }

Status read_port(const View& bytes, Arena* arena, View* name, Port* port) {
  struct Fields {
    View shape;
    int64_t type = 0;
  } fields;
  static constexpr FieldRule RULES[] = {{bytes_tag(TensorTypeField::SHAPE), __builtin_offsetof(Fields, shape)},
                                        {varint_tag(TensorTypeField::TYPE), __builtin_offsetof(Fields, type)}};
  View type, tensor;
  TRY(read_name(bytes, name));
  TRY(find_message(bytes, ValueField::TYPE, &type));
  TRY(find_message(type, TypeField::TENSOR, &tensor));
  TRY(read_fields(tensor, RULES, &fields, "the type of an input or output"));
  TRY(check_type(*name, fields.type, &port->tensor.type));
  port->tensor.rank = -1;
  if (fields.shape.data) TRY(read_shape(fields.shape, arena, port));
  return arena->copy(*name, &port->name);
}

}  // namespace mbert
