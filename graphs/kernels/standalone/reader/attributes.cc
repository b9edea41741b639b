#include "standalone/reader/attributes.h"

#include "standalone/host/memory.h"
#include "standalone/reader/fields.h"

namespace mbert {

namespace {

using Field = AttributeField;

// Values of AttributeProto.AttributeType, and what they are here.
Attribute::Kind kind_of(uint64_t type) {
  switch (type) {
    case 1: return Attribute::REAL;
    case 2: return Attribute::INTEGER;
    case 3: return Attribute::TEXT;
    case 4: return Attribute::TENSOR;
    case 6: return Attribute::REALS;
    case 7: return Attribute::INTEGERS;
    default: return Attribute::OTHER;
  }
}

Wire::Kind element_kind(const Wire& field) { return field.field == Field::FLOATS ? Wire::FIXED32 : Wire::VARINT; }

}  // namespace

Status malformed(const char* what) {
  return fail(Message() << "the file is malformed: " << what << " cannot be read; expected an .onnx file as it was written");
}

Status read_attribute(View bytes, Attribute* attribute) {
  Wire wire(bytes);
  bool has_lists = false, has_reference = false;
  while (wire.next()) {
    if (wire.is(Field::NAME, Wire::BYTES)) attribute->name = wire.bytes;
    if (wire.is(Field::TYPE, Wire::VARINT)) attribute->kind = kind_of(wire.number);
    if (wire.is(Field::INT, Wire::VARINT)) attribute->integer = wire.integer();
    if (wire.is(Field::FLOAT, Wire::FIXED32)) attribute->real = float_of(wire.number);
    if (wire.is(Field::STRING, Wire::BYTES) || wire.is(Field::TENSOR, Wire::BYTES)) attribute->text = wire.bytes;
    if (wire.is(Field::REFERENCE, Wire::BYTES)) has_reference = wire.bytes.size > 0;
    if (wire.field != Field::FLOATS && wire.field != Field::INTS) continue;
    has_lists = true;
    Numbers numbers(wire, element_kind(wire));
    for (uint64_t number; numbers.next(&number);) attribute->count++;
    if (numbers.is_malformed()) return malformed("a list of an attribute");
  }
  if (wire.is_malformed()) return malformed("an attribute");
  const bool is_list = attribute->kind == Attribute::INTEGERS || attribute->kind == Attribute::REALS;
  if (has_reference || attribute->kind == Attribute::MISSING || (has_lists && !is_list)) attribute->kind = Attribute::OTHER;
  return nullptr;
}

Status find_attribute(View node, const char* name, Attribute* attribute) {
  Wire wire(node);
  while (wire.next()) {
    if (!wire.is(NodeField::ATTRIBUTE, Wire::BYTES)) continue;
    Attribute found;
    TRY(read_attribute(wire.bytes, &found));
    if (found.name.is(name)) *attribute = found;
  }
  return wire.is_malformed() ? malformed("a node") : nullptr;
}

Status read_integers(View node, const char* name, int64_t* numbers, size_t count) {
  Wire wire(node);
  size_t written = 0;
  while (wire.next()) {
    if (!wire.is(NodeField::ATTRIBUTE, Wire::BYTES)) continue;
    Attribute found;
    TRY(read_attribute(wire.bytes, &found));
    if (!found.name.is(name)) continue;
    written = 0;  // of two attributes of a name, the last counts
    Wire fields(wire.bytes);
    while (fields.next()) {
      if (fields.field != Field::FLOATS && fields.field != Field::INTS) continue;
      Numbers list(fields, element_kind(fields));
      for (uint64_t number; written < count && list.next(&number);) numbers[written++] = static_cast<int64_t>(number);
    }
  }
  return written == count ? nullptr : malformed("a list of an attribute");
}

}  // namespace mbert
