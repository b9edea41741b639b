#include "messages.h"

#include "standalone/reader/fields.h"

using namespace mbert;

namespace {

constexpr struct {
  Kind message;
  uint32_t field;
  Kind kind;
} KINDS[] = {
    {Kind::MODEL, ModelField::GRAPH, Kind::GRAPH},
    {Kind::MODEL, ModelField::FUNCTIONS, Kind::FUNCTION},
    {Kind::MODEL, ModelField::OPSET_IMPORT, Kind::OPSET},
    {Kind::MODEL, ModelField::METADATA, Kind::PROPERTY},
    {Kind::GRAPH, GraphField::NODE, Kind::NODE},
    {Kind::GRAPH, GraphField::INITIALIZER, Kind::TENSOR},
    {Kind::GRAPH, GraphField::INPUT, Kind::VALUE},
    {Kind::GRAPH, GraphField::OUTPUT, Kind::VALUE},
    {Kind::FUNCTION, FunctionField::NODE, Kind::NODE},
    {Kind::FUNCTION, FunctionField::OPSET_IMPORT, Kind::OPSET},
    {Kind::FUNCTION, FunctionField::INPUT, Kind::NAME},
    {Kind::FUNCTION, FunctionField::OUTPUT, Kind::NAME},
    {Kind::NODE, NodeField::INPUT, Kind::NAME},
    {Kind::NODE, NodeField::OUTPUT, Kind::NAME},
    {Kind::NODE, NodeField::ATTRIBUTE, Kind::ATTRIBUTE},
    {Kind::ATTRIBUTE, AttributeField::TENSOR, Kind::TENSOR},
    {Kind::ATTRIBUTE, AttributeField::GRAPH, Kind::GRAPH},
    {Kind::ATTRIBUTE, AttributeField::INTS, Kind::BYTES},
    {Kind::ATTRIBUTE, AttributeField::FLOATS, Kind::BYTES},
    {Kind::TENSOR, TensorField::NAME, Kind::NAME},
    {Kind::TENSOR, TensorField::EXTERNAL, Kind::PROPERTY},
    {Kind::TENSOR, TensorField::DIMS, Kind::BYTES},
    {Kind::TENSOR, TensorField::RAW, Kind::BYTES},
    {Kind::TENSOR, TensorField::FLOATS, Kind::BYTES},
    {Kind::TENSOR, TensorField::INT32S, Kind::BYTES},
    {Kind::TENSOR, TensorField::INT64S, Kind::BYTES},
    {Kind::TENSOR, TensorField::DOUBLES, Kind::BYTES},
    {Kind::VALUE, ValueField::NAME, Kind::NAME},
    {Kind::VALUE, ValueField::TYPE, Kind::TYPE},
    {Kind::TYPE, TypeField::TENSOR, Kind::TENSOR_TYPE},
    {Kind::TENSOR_TYPE, TensorTypeField::SHAPE, Kind::SHAPE},
    {Kind::SHAPE, ShapeField::DIM, Kind::DIM},
};

void write_varint(uint64_t number, std::string* to) {
  for (; number > 127; number >>= 7) to->push_back(static_cast<char>(number | 128));
  to->push_back(static_cast<char>(number));
}

bool read_varint(const std::string& message, size_t* place, uint64_t* number) {
  *number = 0;
  for (int shift = 0; shift < 64 && *place < message.size(); shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(message[(*place)++]);
    *number |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

bool read_fixed(const std::string& message, size_t size, size_t* place, uint64_t* number) {
  if (message.size() - *place < size) return false;
  *number = 0;
  for (size_t i = 0; i < size; i++)
    *number |= static_cast<uint64_t>(static_cast<uint8_t>(message[(*place)++])) << 8 * i;
  return true;
}

}  // namespace

bool read_fields(const std::string& message, std::vector<Field>* fields) {
  for (size_t place = 0; place < message.size();) {
    uint64_t tag = 0;
    Field field{};
    if (!read_varint(message, &place, &tag)) return false;
    field.number = static_cast<uint32_t>(tag >> 3);
    field.wire = static_cast<int>(tag & 7);
    if (field.wire == 0 || field.wire == 2) {
      if (!read_varint(message, &place, &field.integer)) return false;
    } else if (field.wire != 1 && field.wire != 5) {
      return false;
    } else if (!read_fixed(message, field.wire == 1 ? 8 : 4, &place, &field.integer)) {
      return false;
    }
    if (field.wire == 2) {
      if (field.integer > message.size() - place) return false;
      field.bytes = message.substr(place, static_cast<size_t>(field.integer));
      place += field.bytes.size();
    }
    fields->push_back(std::move(field));
  }
  return true;
}

std::string write_fields(const std::vector<Field>& fields) {
  std::string message;
  for (const Field& field : fields) {
    write_varint(uint64_t{field.number} << 3 | static_cast<uint64_t>(field.wire), &message);
    if (field.wire == 2) {
      write_varint(field.bytes.size(), &message);
      message += field.bytes;
    } else if (field.wire == 0) {
      write_varint(field.integer, &message);
    } else {
      for (int i = 0; i < (field.wire == 1 ? 8 : 4); i++) message.push_back(static_cast<char>(field.integer >> 8 * i));
    }
  }
  return message;
}

Kind kind_of(Kind message, uint32_t field) {
  for (const auto& one : KINDS)
    if (one.message == message && one.field == field) return one.kind;
  return Kind::WORD;
}
