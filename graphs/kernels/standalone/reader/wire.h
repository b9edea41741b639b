// Protobuf's wire format: the fields of a message, one after the other.
#pragma once

#include "standalone/model/view.h"

namespace mbert {

// A reader of the fields of one message. Each field is checked; after one that is malformed, there is no next.
class Wire {
 public:
  enum Kind { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

  Wire() = default;
  explicit Wire(const View& message)
      : at_(reinterpret_cast<const uint8_t*>(message.data)), end_(at_ + message.size) {}

  // Reads the next field; false at the end, or where the message is malformed.
  bool next();
  bool is_malformed() const { return is_malformed_; }
  // The end of the field that was read.
  const char* position() const { return reinterpret_cast<const char*>(at_); }

  // The field that was read: its tag, of its number and kind, and its value, as a number or as bytes.
  uint32_t tag = 0;
  uint64_t number = 0;
  View bytes;

  bool is(uint32_t field, Kind kind) const { return tag == (field << 3 | kind); }
  uint32_t field() const { return tag >> 3; }
  Kind kind() const { return static_cast<Kind>(tag & 7); }
  int64_t integer() const { return static_cast<int64_t>(number); }

 private:
  bool read_value();

  const uint8_t *at_ = nullptr, *end_ = nullptr;
  bool is_malformed_ = false;
};

// A field of a message that is stored in an object: bytes as a View, a varint as int64, 32 bits as float. Of a field that
// is there several times, the last one counts.
struct FieldRule {
  uint8_t tag;
  uint8_t offset;  // in the object
};
constexpr uint8_t bytes_tag(uint32_t field) { return static_cast<uint8_t>(field << 3 | Wire::BYTES); }
constexpr uint8_t varint_tag(uint32_t field) { return static_cast<uint8_t>(field << 3 | Wire::VARINT); }

// Stores the fields of a message that rules are for. `what` names the message in errors.
Status read_fields(const View& message, const FieldRule* rules, size_t count, void* object, const char* what);
template <size_t COUNT>
Status read_fields(const View& message, const FieldRule (&rules)[COUNT], void* object, const char* what) {
  return read_fields(message, rules, COUNT, object, what);
}

Status malformed(const char* what);

// Reads the elements of a repeated field of numbers, packed or not.
class Numbers {
 public:
  // `field` is one that was just read; `kind` is that of an element.
  Numbers(const Wire& field, Wire::Kind kind);
  bool next(uint64_t* number);
  bool is_malformed() const { return is_malformed_; }

 private:
  Wire::Kind kind_;
  bool is_packed_, is_malformed_ = false;
  uint64_t single_;
  bool has_single_;
  const uint8_t *at_ = nullptr, *end_ = nullptr;
};

float float_of(uint64_t bits);
double double_of(uint64_t bits);

}  // namespace mbert
