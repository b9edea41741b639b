#include "text/text.h"

namespace mbert {

namespace {

// The overlap of two windows in tokens if none is given: SQuAD's, or half of a window if that is shorter.
constexpr int64_t DEFAULT_STRIDE = 128;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Sets how many tokens stay of a text, and of its pair in templates with one: those of `counts` that have room.
void truncate(const Settings& settings, int64_t room, const int64_t* counts, int64_t* kept) {
  const bool has_pair = settings.has_pair;
  const int64_t text = counts[0], pair = has_pair ? counts[1] : 0;
  kept[0] = text;
  kept[1] = pair;
  if (settings.truncation == NO_TRUNCATION) return;
  if (!has_pair) {
    kept[0] = smaller(text, room);
  } else if (settings.truncation == LONGEST_FIRST) {
    // None of both gets less than half of the room, unless it needs less.
    const int64_t shorter = smaller(smaller(text, pair), room / 2), longer = smaller(larger(text, pair), room - shorter);
    kept[0] = text <= pair ? shorter : longer;
    kept[1] = text <= pair ? longer : shorter;
  } else {
    const int whole = settings.truncation == ONLY_TEXT ? 1 : 0;
    kept[whole] = smaller(counts[whole], room);
    kept[1 - whole] = smaller(counts[1 - whole], room - kept[whole]);
  }
}

}  // namespace

TextRows::TextRows(const Settings& settings, const Tokens* sequences, int64_t texts, int64_t max_length, int64_t stride)
    : settings_(settings), sequences_(sequences), texts_(texts), stride_(stride) {
  int64_t special = 0;
  for (int i = 0; i < settings.part_count; i++) special += !settings.parts[i].is_sequence;
  length_ = larger(smaller(max_length, settings.limit), special + settings.has_windows);
  room_ = length_ - special;
}

void TextRows::begin_text() {
  int64_t counts[2] = {}, kept[2] = {};
  for (int i = 0; i < settings_.sequences(); i++) counts[i] = sequences_[i].count(text_);
  window_ = 0;
  windows_ = 1;
  row_ = {};
  row_.text = text_;
  if (!settings_.has_windows) {
    truncate(settings_, room_, counts, kept);
  } else {
    const int windowed = settings_.windowed, whole = 1 - windowed;
    kept[windowed] = counts[windowed];
    kept[whole] = settings_.has_pair ? smaller(counts[whole], room_ - 1) : 0;
    width_ = room_ - kept[whole];
    const int64_t common = smaller(length_ / 2, DEFAULT_STRIDE), usual = common < width_ ? common : width_ / 2;
    step_ = width_ - (stride_ < 0 ? usual : smaller(stride_, width_ - 1));
    windows_ += (larger(counts[windowed] - width_, 0) + step_ - 1) / step_;
  }
  for (int i = 0; i < settings_.sequences(); i++) {
    cut_[i] = counts[i] - kept[i];
    row_.first[i] = sequences_[i].starts[text_] + (settings_.cut_left ? cut_[i] : 0);
    row_.count[i] = kept[i];
  }
}

bool TextRows::next(Row* row) {
  if (window_ == windows_) {
    if (++text_ >= texts_) return false;
    begin_text();
  }
  *row = row_;
  if (settings_.has_windows) {
    const int windowed = settings_.windowed;
    const int64_t begin = window_ * step_, all = row_.count[windowed], first = row_.first[windowed];
    row->first[windowed] = first + begin;
    row->count[windowed] = smaller(width_, all - begin);
    // A seam is the middle of an overlap: between a window's begin and the end of the one before it.
    row->owned_from = first + (window_ ? (2 * begin + width_ - step_) / 2 : 0);
    row->owned_to = first + (begin + width_ >= all ? all : (2 * begin + width_ + step_) / 2);
  }
  row->tokens = 0;
  for (int i = 0; i < settings_.part_count; i++) {
    const TemplatePart& part = settings_.parts[i];
    row->tokens += part.is_sequence ? row->count[part.number] : 1;
  }
  window_++;
  return true;
}

}  // namespace mbert
