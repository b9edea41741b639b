#include "standalone/reader/attributes.h"

#include "standalone/host/memory.h"
#include "standalone/reader/fields.h"

namespace mbert {

namespace {

using Field = AttributeField;

// Values of AttributeProto.AttributeType, and what they are here.
Attribute::Kind kind_of(int64_t type) {
  static constexpr uint8_t KINDS[] = {Attribute::OTHER,  Attribute::REAL,  Attribute::INTEGER, Attribute::TEXT,
                                      Attribute::TENSOR, Attribute::GRAPH, Attribute::REALS,   Attribute::INTEGERS};
  return type >= 0 && type < 8 ? static_cast<Attribute::Kind>(KINDS[type]) : Attribute::OTHER;
}

// Reads the numbers of a list, of which the first `count` are stored, reals as their bits. `found` counts all.
Status read_list(const View& bytes, int64_t* numbers, size_t count, size_t* found) {
  *found = 0;
  for (Wire wire(bytes); wire.next();) {
    const bool is_real = wire.field() == Field::FLOATS;
    if (!is_real && wire.field() != Field::INTS) continue;
    Numbers list(wire, is_real ? Wire::FIXED32 : Wire::VARINT);
    for (uint64_t number; list.next(&number); ++*found)
      if (*found < count) numbers[*found] = static_cast<int64_t>(number);
    if (list.is_malformed()) return malformed("a list of an attribute");
  }
  return nullptr;
}

// Finds the bytes of the last attribute of a name; empty where there is none.
Status find_bytes(const View& node, const char* name, View* bytes) {
  Wire wire(node);
  while (wire.next()) {
    if (!wire.is(NodeField::ATTRIBUTE, Wire::BYTES)) continue;
    Attribute found;
    TRY(read_attribute(wire.bytes, &found));
    if (found.name.is(name)) *bytes = wire.bytes;
  }
  return wire.is_malformed() ? malformed("a node") : nullptr;
}

}  // namespace

int64_t Attribute::real_bits() const {
  uint32_t bits;
  __builtin_memcpy(&bits, &real, sizeof(bits));
  return bits;
}

Status read_attribute(const View& bytes, Attribute* attribute) {
  static constexpr FieldRule RULES[] = {
      {bytes_tag(Field::NAME), __builtin_offsetof(Attribute, name)},
      {bytes_tag(Field::STRING), __builtin_offsetof(Attribute, text)},
      {bytes_tag(Field::TENSOR), __builtin_offsetof(Attribute, tensor)},
      {bytes_tag(Field::GRAPH), __builtin_offsetof(Attribute, graph)},
      {Field::FLOAT << 3 | Wire::FIXED32, __builtin_offsetof(Attribute, real)},
      {varint_tag(Field::INT), __builtin_offsetof(Attribute, integer)},
      {varint_tag(Field::TYPE), __builtin_offsetof(Attribute, type)},
      {bytes_tag(Field::REFERENCE), __builtin_offsetof(Attribute, reference)},
  };
  TRY(read_fields(bytes, RULES, attribute, "an attribute"));
  TRY(read_list(bytes, nullptr, 0, &attribute->count));
  attribute->kind = attribute->reference.size ? Attribute::OTHER : kind_of(attribute->type);
  return nullptr;
}

Status find_attribute(const View& node, const char* name, Attribute* attribute) {
  View bytes;
  TRY(find_bytes(node, name, &bytes));
  return bytes.size ? read_attribute(bytes, attribute) : nullptr;
}

Status read_integers(const View& node, const char* name, int64_t* numbers, size_t count) {
  View bytes;
  size_t found = 0;
  TRY(find_bytes(node, name, &bytes));
  TRY(read_list(bytes, numbers, count, &found));
  return found == count ? nullptr : malformed("a list of an attribute");
}

}  // namespace mbert
