#include "text/text.h"

namespace mbert {

namespace {

constexpr size_t ALIGNMENT = 16;

// Takes arrays from a memory, one after the other; without one, counts their bytes.
class Layout {
 public:
  explicit Layout(char* memory) : memory_(memory) {}

  template <class Element>
  Element* take(int64_t count) {
    Element* taken = memory_ ? reinterpret_cast<Element*>(memory_ + bytes_) : nullptr;
    bytes_ += (static_cast<uint64_t>(count) * sizeof(Element) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return taken;
  }
  uint64_t bytes() const { return bytes_; }

 private:
  char* const memory_;
  uint64_t bytes_ = 0;
};

struct BatchMemory {
  BatchMemory(const Texts* sequences, int sequence_count, int64_t texts, int64_t symbols_per_byte, char* memory)
      : layout(memory) {
    int64_t most = 0;
    for (int i = 0; i < sequence_count; i++) most = sequences[i].size > most ? sequences[i].size : most;
    symbols = layout.take<Symbol>(most * symbols_per_byte);
    starts = layout.take<uint32_t>(texts + 1);
    for (int i = 0; i < sequence_count; i++) {
      tokens[i].starts = layout.take<uint32_t>(texts + 1);
      tokens[i].tokens = layout.take<Token>(sequences[i].size * symbols_per_byte);
    }
  }

  Layout layout;
  Symbol* symbols;   // of one text
  uint32_t* starts;  // of the texts of one sequence
  Tokens tokens[2];
};

}  // namespace

void read_splits(const Texts& texts, int64_t count, uint32_t* starts) {
  bool is_sorted = true;
  for (int64_t i = 0; i <= count; i++) {
    const int64_t split = i == 0 ? 0 : i == count || i >= texts.split_count ? texts.size : texts.splits[i];
    starts[i] = static_cast<uint32_t>(split < 0 ? 0 : split > texts.size ? texts.size : split);
    is_sorted = is_sorted && (i == 0 || starts[i - 1] <= starts[i]);
  }
  if (is_sorted) return;
  // Shell's sort.
  int64_t gap = 1;
  while (gap < count / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (int64_t i = gap; i <= count; i++) {
      const uint32_t start = starts[i];
      int64_t place = i;
      for (; place >= gap && starts[place - gap] > start; place -= gap) starts[place] = starts[place - gap];
      starts[place] = start;
    }
}

uint64_t batch_bytes(const Texts* sequences, int sequence_count, int64_t texts, int64_t symbols_per_byte) {
  return BatchMemory(sequences, sequence_count, texts, symbols_per_byte, nullptr).layout.bytes();
}

Outcome tokenize_batch(const Tokenizer& tokenizer, const Texts* sequences, int64_t texts, int64_t symbols_per_byte,
                       char* memory, Tokens* result) {
  const int sequence_count = tokenizer.settings.sequences();
  const BatchMemory to(sequences, sequence_count, texts, symbols_per_byte, memory);
  for (int sequence = 0; sequence < sequence_count; sequence++) {
    const Tokens& tokens = result[sequence] = to.tokens[sequence];
    read_splits(sequences[sequence], texts, to.starts);
    tokens.starts[0] = 0;
    for (int64_t i = 0; i < texts; i++) {
      const uint32_t begin = to.starts[i], size = to.starts[i + 1] - begin;
      const uint32_t room = static_cast<uint32_t>(size * symbols_per_byte);
      uint32_t symbols = 0, written = 0;
      Outcome outcome =
          write_symbols(tokenizer, sequences[sequence].bytes + begin, size, to.symbols, room, &symbols);
      if (outcome == Outcome::DONE)
        outcome = write_tokens(tokenizer, to.symbols, symbols, tokens.tokens + tokens.starts[i], &written);
      if (outcome != Outcome::DONE) return outcome;
      tokens.starts[i + 1] = tokens.starts[i] + written;
    }
  }
  return Outcome::DONE;
}

}  // namespace mbert
