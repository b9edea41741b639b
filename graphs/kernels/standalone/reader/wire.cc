#include "standalone/reader/wire.h"

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
  uint64_t tag = 0;
  if (!varint(&at_, end_, &tag)) return false;
  if (tag >> 3 < 1 || tag >> 3 > LAST_FIELD) return false;
  field = static_cast<uint32_t>(tag >> 3);
  kind = static_cast<Kind>(tag & 7);
  if (kind != VARINT && kind != FIXED64 && kind != BYTES && kind != FIXED32) return false;
  if (kind != BYTES) return number_of_kind(kind, &at_, end_, &number);
  if (!varint(&at_, end_, &number) || number > static_cast<size_t>(end_ - at_)) return false;
  bytes = {reinterpret_cast<const char*>(at_), static_cast<size_t>(number)};
  at_ += number;
  return true;
}

Numbers::Numbers(const Wire& field, Wire::Kind kind)
    : kind_(kind), is_packed_(field.kind == Wire::BYTES), single_(field.number), has_single_(field.kind == kind) {
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
