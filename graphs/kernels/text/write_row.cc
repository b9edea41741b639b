#include "text/text.h"

namespace mbert {

namespace {

// The sequence of special tokens and padding.
constexpr int64_t NO_SEQUENCE = -1;
constexpr Token NOTHING = {0, 0, 0, 0, 0};

// Writes the columns of a row, from left to right.
class RowWriter {
 public:
  RowWriter(const Outputs& outputs, int64_t number, int64_t columns)
      : to_(outputs), next_(number * columns), end_(next_ + columns) {}

  bool is_full() const { return next_ == end_; }
  void write(int64_t id, int64_t mask, int64_t type, int64_t sequence, const Token& token, bool owned) {
    const int64_t i = next_++;
    if (to_.input_ids) to_.input_ids[i] = id;
    if (to_.attention_mask) to_.attention_mask[i] = mask;
    if (to_.token_type_ids) to_.token_type_ids[i] = type;
    if (to_.sequence_ids) to_.sequence_ids[i] = sequence;
    if (to_.offsets) to_.offsets[2 * i] = token.begin, to_.offsets[2 * i + 1] = token.end;
    if (to_.word_offsets) to_.word_offsets[2 * i] = token.word_begin, to_.word_offsets[2 * i + 1] = token.word_end;
    if (to_.owned) to_.owned[i] = owned;
  }

 private:
  const Outputs& to_;
  int64_t next_;
  const int64_t end_;
};

}  // namespace

void write_row(const Settings& settings, const Tokens* sequences, const Row& row, int64_t number, int64_t columns,
               const Outputs& outputs) {
  RowWriter writer(outputs, number, columns);
  for (int i = 0; i < settings.part_count; i++) {
    const TemplatePart& part = settings.parts[i];
    if (!part.is_sequence) {
      if (!writer.is_full()) writer.write(part.number, 1, part.type, NO_SEQUENCE, NOTHING, false);
      continue;
    }
    const bool windowed = settings.has_windows && part.number == settings.windowed;
    const int64_t first = row.first[part.number], behind = first + row.count[part.number];
    for (int64_t place = first; place < behind && !writer.is_full(); place++) {
      const Token& token = sequences[part.number].tokens[place];
      const bool owned = windowed && place >= row.owned_from && place < row.owned_to;
      writer.write(token.id, 1, part.type, part.number, token, owned);
    }
  }
  while (!writer.is_full()) writer.write(settings.padding, 0, 0, NO_SEQUENCE, NOTHING, false);
  if (outputs.row_texts) outputs.row_texts[number] = row.text;
}

}  // namespace mbert
