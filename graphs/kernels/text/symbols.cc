#include "text/added_tokens.h"
#include "text/utf8.h"

namespace mbert {

namespace {

// The symbols that are written, within their memory.
class SymbolWriter {
 public:
  SymbolWriter(const Tokenizer& tokenizer, Symbol* symbols, uint32_t room)
      : tokenizer_(tokenizer), symbols_(symbols), room_(room) {}

  void write(uint32_t number, uint32_t begin, uint32_t end) {
    if (count_ == room_) {
      outcome_ = Outcome::TOO_MANY_SYMBOLS;
      return;
    }
    symbols_[count_++] = {begin, end, static_cast<uint16_t>(number)};
  }
  void add(int32_t row, uint32_t begin, uint32_t end) { write(tokenizer_.settings.first_added + row, begin, end); }
  uint32_t count() const { return count_; }
  Outcome outcome() const { return outcome_; }

 protected:
  const Tokenizer& tokenizer_;
  Symbol* const symbols_;
  const uint32_t room_;
  uint32_t count_ = 0;
  Outcome outcome_ = Outcome::DONE;
};

// The characters of a text, at their first bytes; they are copied as the symbols of their classes.
class Characters : public SymbolWriter {
 public:
  Characters(const Tokenizer& tokenizer, const uint8_t* bytes, uint32_t size, Symbol* symbols, uint32_t room)
      : SymbolWriter(tokenizer, symbols, room), bytes_(bytes), size_(size) {}

  uint32_t size() const { return size_; }
  Element read(uint32_t place) {
    const Tables& tables = tokenizer_.tables;
    const int shift = tokenizer_.settings.shift;
    Element element;
    const uint32_t point = decode(bytes_, size_, place, &element.next);
    const size_t at = (size_t{tables.blocks[point >> shift]} << shift) + (point & ((1u << shift) - 1));
    element.number = at < tables.class_places ? tables.classes[at] : ~0u;
    if (element.number >= tables.class_count) {
      outcome_ = Outcome::WRONG_TABLES;
      element.number = 0;
    }
    element.symbol = tables.raw_symbols[element.number];
    element.flags = tables.class_flags[element.number];
    return element;
  }
  uint32_t begin(uint32_t place) const { return place; }
  uint32_t end(uint32_t place) const { return place; }
  void write(uint32_t place, const Element& element) {
    const size_t width = tokenizer_.tables.width;
    const uint16_t* numbers = tokenizer_.tables.expansions + element.number * width;
    for (size_t i = 0; i < width; i++)
      if (numbers[i]) SymbolWriter::write(numbers[i], place, element.next);
  }
  uint32_t unwrite(uint32_t place, uint32_t) {
    while (count_ && symbols_[count_ - 1].begin >= place) count_--;
    return place;
  }

 private:
  const uint8_t* const bytes_;
  const uint32_t size_;
};

// The symbols of a text, which are copied to where they are: a copy is never longer than what was read.
class NormalizedText : public SymbolWriter {
 public:
  NormalizedText(const Tokenizer& tokenizer, Symbol* symbols, uint32_t size)
      : SymbolWriter(tokenizer, symbols, size), size_(size) {}

  uint32_t size() const { return size_; }
  Element read(uint32_t place) {
    const uint32_t number = symbols_[place].number;
    uint8_t flags = number >= FIRST_SPACE && number <= tokenizer_.settings.last_space ? WHITE_SPACE : 0;
    if (number < tokenizer_.tables.symbol_count)
      flags |= tokenizer_.tables.symbol_flags[number] & WORD;
    else
      outcome_ = Outcome::WRONG_TABLES;
    return {place + 1, number, number, flags};
  }
  uint32_t begin(uint32_t place) const { return symbols_[place].begin; }
  uint32_t end(uint32_t place) const { return symbols_[place - 1].end; }
  void write(uint32_t place, const Element&) { symbols_[count_++] = symbols_[place]; }
  uint32_t unwrite(uint32_t place, uint32_t here) {
    count_ -= here - place;
    return symbols_[count_].begin;
  }

 private:
  const uint32_t size_;
};

}  // namespace

Outcome write_symbols(const Tokenizer& tokenizer, const uint8_t* bytes, uint32_t size, Symbol* symbols, uint32_t room,
                      uint32_t* count) {
  Characters characters(tokenizer, bytes, size, symbols, room);
  const Outcome outcome = AddedTokens<Characters>(tokenizer, RAW_ROOT, &characters).replace();
  *count = characters.count();
  if (outcome != Outcome::DONE || !tokenizer.settings.roots[NORMALIZED_ROOT]) return outcome;
  NormalizedText normalized(tokenizer, symbols, *count);
  const Outcome second = AddedTokens<NormalizedText>(tokenizer, NORMALIZED_ROOT, &normalized).replace();
  *count = normalized.count();
  return second;
}

}  // namespace mbert
