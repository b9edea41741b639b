// The search for added tokens, steps 3 and 5: leftmost and longest contents, with the flags of `tokenizers`.
#pragma once

#include "text/text.h"
#include "text/trie.h"

namespace mbert {

// An element of a stream: a character, or a symbol.
struct Element {
  uint32_t next;    // the place behind it
  uint32_t symbol;  // what contents are made of
  uint32_t number;  // of its class, or of its symbol
  uint8_t flags;
};

// Copies a stream with added tokens in the place of their contents. A Stream has the members
//
//   size()                    the place behind the last element; the first one is at 0
//   read(place)               an element
//   begin(place)              its first byte
//   end(place)                the byte behind the element before a place
//   write(place, element)     adds an element to the copy
//   unwrite(place, here)      removes the elements from `place` to before `here` from the copy, which has all of them, and
//                             returns the first byte of the first
//   add(row, begin, end)      adds an added token, which has these bytes, to the copy
//   outcome()                 whether a table had a number that is no index of another one, or the copy had no room
template <class Stream>
class AddedTokens {
 public:
  AddedTokens(const Tokenizer& tokenizer, Root root, Stream* stream)
      : tables_(tokenizer.tables), root_(tokenizer.settings.roots[root]), stream_(*stream) {}

  Outcome replace() {
    for (uint32_t place = 0; place < stream_.size();) {
      const Element element = stream_.read(place);
      if (stream_.outcome() != Outcome::DONE) break;
      if (root_ && place >= search_from_) {
        Match match;
        if (!find(place, element, &match)) return Outcome::WRONG_TABLES;
        if (match.row >= 0) {
          search_from_ = match.end;  // whatever becomes of the match
          if (!is_dropped(match)) {
            accept(place, match);
            before_ = match.last;
            place = space_begin_ = match.end;
            continue;
          }
        }
      }
      if (place >= taken_until_) stream_.write(place, element);
      before_ = element.flags;
      place = element.next;
      if (!(before_ & WHITE_SPACE)) space_begin_ = place;
    }
    return stream_.outcome();
  }

 private:
  struct Match {
    int32_t row = -1;  // of `added`; −1: there is none
    uint32_t end = 0;
    uint8_t last = 0;  // the flags of its last element
  };

  // Finds the longest content that begins with an element. Returns false where the tables are wrong.
  bool find(uint32_t place, Element element, Match* match) {
    Walk walk(tables_, root_);
    if (!walk.step(element.symbol)) return true;
    for (uint32_t next = element.next; next < stream_.size();) {
      const Element one = stream_.read(next);
      if (!walk.step(one.symbol)) break;
      next = one.next;
    }
    int length = walk.longest(&match->row);
    if (length <= 0) return match->row = -1, length == 0;
    for (match->end = place; length > 0; length--) {
      element = stream_.read(match->end);
      match->end = element.next;
    }
    match->last = element.flags;
    return match->row >= 0 && static_cast<size_t>(match->row) < tables_.added_count;
  }

  int32_t flags(const Match& match) const { return tables_.added[2 * match.row + 1]; }

  bool is_dropped(const Match& match) {
    if (flags(match) & AS_TEXT) return true;
    if (!(flags(match) & SINGLE_WORD)) return false;
    return (before_ & WORD) || (match.end < stream_.size() && (stream_.read(match.end).flags & WORD));
  }

  void accept(uint32_t place, const Match& match) {
    uint32_t begin = place, end = match.end;
    while (flags(match) & RSTRIP && end < stream_.size()) {
      const Element element = stream_.read(end);
      if (!(element.flags & WHITE_SPACE)) break;
      end = element.next;
    }
    // White space on the left that the match before has taken stays with it.
    if (flags(match) & LSTRIP) begin = space_begin_ > taken_until_ ? space_begin_ : taken_until_;
    if (begin >= end) begin = place;  // only with wrong tables
    // Read before the copy is written, which may lie in the same memory.
    const uint32_t last = stream_.end(end);
    const uint32_t first = begin < place ? stream_.unwrite(begin, place) : stream_.begin(begin);
    stream_.add(match.row, first, last);
    taken_until_ = end;
  }

  const Tables& tables_;
  const int32_t root_;
  Stream& stream_;
  uint32_t search_from_ = 0;   // no match begins before
  uint32_t taken_until_ = 0;   // the end of the last accepted match
  uint32_t space_begin_ = 0;   // the place behind the last element that is no white space
  uint8_t before_ = 0;         // the flags of the element before
};

}  // namespace mbert
