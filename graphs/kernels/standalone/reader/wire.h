// Protobuf's wire format: the fields of a message, one after the other.
#pragma once

#include "standalone/model/view.h"

namespace mbert {

// A reader of the fields of one message. Each field is checked; after one that is malformed, there is no next.
class Wire {
 public:
  enum Kind { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

  Wire() = default;
  explicit Wire(View message)
      : at_(reinterpret_cast<const uint8_t*>(message.data)), end_(at_ + message.size) {}

  // Reads the next field; false at the end, or where the message is malformed.
  bool next();
  bool is_malformed() const { return is_malformed_; }

  // The field that was read: its number, and its value, as a number or as bytes.
  uint32_t field = 0;
  Kind kind = VARINT;
  uint64_t number = 0;
  View bytes;

  bool is(uint32_t expected, Kind expected_kind) const { return field == expected && kind == expected_kind; }
  int64_t integer() const { return static_cast<int64_t>(number); }

 private:
  bool read_value();

  const uint8_t *at_ = nullptr, *end_ = nullptr;
  bool is_malformed_ = false;
};

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
