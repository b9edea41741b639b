#include "standalone/reader/wire.h"

#include "standalone/host/memory.h"

namespace mbert {

namespace {

bool varint(const uint8_t** at, const uint8_t* end, uint64_t* result) {
  *result = 0;
  for (int shift = 0; shift < 64 && *at < end; shift += 7) {
    const uint8_t byte = *(*at)++;
    *result |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

bool fixed(const uint8_t** at, const uint8_t* end, size_t size, uint64_t* result) {
  if (static_cast<size_t>(end - *at) < size) return false;
  *result = 0;
  for (size_t i = 0; i < size; i++) *result |= static_cast<uint64_t>(*(*at)++) << 8 * i;
  return true;
}

bool number_of_kind(Wire::Kind kind, const uint8_t** at, const uint8_t* end, uint64_t* result) {
  return kind == Wire::VARINT ? varint(at, end, result) : fixed(at, end, kind == Wire::FIXED64 ? 8 : 4, result);
}

}  // namespace

bool Wire::next() {
  if (is_malformed_ || at_ == end_) return false;
  is_malformed_ = !read_value();
  return !is_malformed_;
}

bool Wire::read_value() {
  constexpr uint64_t LAST_FIELD = (uint64_t{1} << 29) - 1;
  uint64_t read = 0;
  if (!varint(&at_, end_, &read) || read >> 3 < 1 || read >> 3 > LAST_FIELD) return false;
  tag = static_cast<uint32_t>(read);
  const Kind own = kind();
  if (own != VARINT && own != FIXED64 && own != BYTES && own != FIXED32) return false;
  if (own != BYTES) return number_of_kind(own, &at_, end_, &number);
  if (!varint(&at_, end_, &number) || number > static_cast<size_t>(end_ - at_)) return false;
  bytes = {reinterpret_cast<const char*>(at_), static_cast<size_t>(number)};
  at_ += number;
  return true;
}

Status malformed(const char* what) {
  return fail(failure() << "the file is malformed: " << what << " cannot be read; expected a whole .onnx file");
}

Status read_fields(const View& message, const FieldRule* rules, size_t count, void* object, const char* what) {
  Wire wire(message);
  while (wire.next())
    for (size_t i = 0; i < count; i++) {
      if (rules[i].tag != wire.tag) continue;
      char* to = static_cast<char*>(object) + rules[i].offset;
      if (wire.kind() == Wire::BYTES)
        *reinterpret_cast<View*>(to) = wire.bytes;
      else if (wire.kind() == Wire::FIXED32)
        *reinterpret_cast<float*>(to) = float_of(wire.number);
      else
        *reinterpret_cast<int64_t*>(to) = wire.integer();
    }
  return wire.is_malformed() ? malformed(what) : nullptr;
}

Numbers::Numbers(const Wire& field, Wire::Kind kind)
    : kind_(kind), is_packed_(field.kind() == Wire::BYTES), single_(field.number), has_single_(field.kind() == kind) {
  is_malformed_ = !is_packed_ && !has_single_;
  if (!is_packed_) return;
  at_ = reinterpret_cast<const uint8_t*>(field.bytes.data);
  end_ = at_ + field.bytes.size;
}

bool Numbers::next(uint64_t* number) {
  if (is_malformed_) return false;
  if (!is_packed_) {
    *number = single_;
    const bool had_single = has_single_;
    has_single_ = false;
    return had_single;
  }
  if (at_ == end_) return false;
  is_malformed_ = !number_of_kind(kind_, &at_, end_, number);
  return !is_malformed_;
}

float float_of(uint64_t bits) {
  const uint32_t low = static_cast<uint32_t>(bits);
  float result;
  __builtin_memcpy(&result, &low, sizeof(result));
  return result;
}

double double_of(uint64_t bits) {
  double result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

}  // namespace mbert
