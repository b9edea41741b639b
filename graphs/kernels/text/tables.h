// The tables and settings of a tokenizer, as docs/development/tokenize.md defines them. Who makes them checks their sizes;
// a number in them may still be any: each is checked where it is used as an index.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mbert {

// Bits of `class_flags` and `symbol_flags`, and of the flags in `added`.
constexpr uint8_t WORD = 1, WHITE_SPACE = 2;
constexpr int32_t LSTRIP = 1, RSTRIP = 2, SINGLE_WORD = 4, AS_TEXT = 8;
// Symbols below this one are no white space: nothing, and the end of a text.
constexpr uint32_t FIRST_SPACE = 2;
constexpr uint32_t CODE_POINTS = 0x110000;
// The tries, by their place in `roots`.
enum Root { WORD_ROOT, INNER_ROOT, RAW_ROOT, NORMALIZED_ROOT, ROOTS };

// Numbers that are uint16, or int32 where one of them is larger.
struct Numbers {
  const void* data;
  bool is_wide;

  int32_t operator[](size_t place) const {
    return is_wide ? static_cast<const int32_t*>(data)[place] : static_cast<const uint16_t*>(data)[place];
  }
};

struct Tables {
  const uint16_t* blocks;  // at least (CODE_POINTS - 1) >> shift, and one
  const uint16_t* classes;
  size_t class_places;         // in `classes`
  const uint16_t* expansions;  // [class_count, width]
  const uint16_t* raw_symbols;
  const uint8_t* class_flags;
  size_t class_count, width;
  const uint8_t* symbol_flags;
  size_t symbol_count;
  const int32_t* added;  // [added_count, 2]
  size_t added_count;
  const uint16_t* check;
  Numbers base;
  size_t slots;  // in `check` and `base`
  Numbers entries;
  const uint8_t* lengths;
  size_t entry_slots;  // in `entries` and `lengths`
};

struct TemplatePart {
  int64_t is_sequence, number, type;  // number: the sequence, or the id of a special token
};

enum Truncation { NO_TRUNCATION, LONGEST_FIRST, ONLY_TEXT, ONLY_PAIR };

struct Settings {
  int shift;
  int32_t roots[ROOTS];
  uint32_t last_space, last_isolated, first_added;
  int32_t unknown;
  int64_t longest_word;
  const TemplatePart* parts;
  int part_count;
  int64_t padding, limit, columns;
  int truncation;
  bool cut_left, spans;  // spans: offsets are wanted
  bool has_pair, has_windows;
  int windowed;  // the sequence that is cut into windows

  int sequences() const { return has_pair ? 2 : 1; }
};

struct Tokenizer {
  Tables tables;
  Settings settings;
};

}  // namespace mbert
