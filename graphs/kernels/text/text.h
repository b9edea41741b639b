// The steps of the tokenizer, from the bytes of texts to rows: docs/development/tokenize.md has the algorithm. None of
// them allocates memory or calls onnxruntime. Numbers of bytes, symbols and tokens fit 32 bits: MAX_BYTES.
#pragma once

#include "text/tables.h"

namespace mbert {

// The most bytes of all texts together.
constexpr int64_t MAX_BYTES = (int64_t{1} << 31) - 1;

// How a step ended.
enum class Outcome { DONE, TOO_MANY_SYMBOLS, WRONG_TABLES };

// A symbol, and its first byte and the byte behind its last in its text.
struct Symbol {
  uint32_t begin, end;
  uint16_t number;
};

struct Token {
  int32_t id;
  uint32_t begin, end, word_begin, word_end;
};

// Texts that are joined, and their splits, of which there may be too few or too many, and in any order.
struct Texts {
  const uint8_t* bytes;
  int64_t size;
  const int64_t* splits;
  int64_t split_count;
};

// The tokens of joined texts: those of text i are from starts[i] to before starts[i + 1].
struct Tokens {
  Token* tokens;
  uint32_t* starts;  // [texts + 1]

  int64_t count(int64_t text) const { return int64_t{starts[text + 1]} - starts[text]; }
};

// Step 0: writes where each of `count` texts begins, and the end of the last.
void read_splits(const Texts& texts, int64_t count, uint32_t* starts);

// Steps 1 to 5: writes the symbols of a text, with added tokens in the place of their contents.
Outcome write_symbols(const Tokenizer& tokenizer, const uint8_t* bytes, uint32_t size, Symbol* symbols, uint32_t room,
                      uint32_t* count);

// Steps 6 and 7: writes the tokens of symbols, of which there are at most as many.
Outcome write_tokens(const Tokenizer& tokenizer, const Symbol* symbols, uint32_t count, Token* tokens, uint32_t* written);

// Steps 0 to 7 for all texts of a batch, of one sequence or two, in memory of so many bytes. A text may have so many symbols
// for each of its bytes; nearly always, one is enough, and the width of `expansions` is always. The tokens are in the memory.
uint64_t batch_bytes(const Texts* sequences, int sequence_count, int64_t texts, int64_t symbols_per_byte);
Outcome tokenize_batch(const Tokenizer& tokenizer, const Texts* sequences, int64_t texts, int64_t symbols_per_byte,
                       char* memory, Tokens* result);

// A row: which tokens of each sequence it has, and, for windows, which of them it owns; all among the tokens of all texts.
struct Row {
  int64_t text, first[2], count[2], owned_from, owned_to, tokens;
};

// Step 8: the rows of texts and their pairs, one after the other.
class TextRows {
 public:
  TextRows(const Settings& settings, const Tokens* sequences, int64_t texts, int64_t max_length, int64_t stride);

  // Sets the next row. Returns false behind the last one.
  bool next(Row* row);
  // Returns the number of tokens of a sequence that the rows of the text of the last row leave out.
  int64_t cut(int sequence) const { return cut_[sequence]; }

 private:
  void begin_text();

  const Settings& settings_;
  const Tokens* sequences_;
  const int64_t texts_, stride_;
  int64_t length_, room_;
  int64_t text_ = -1, window_ = 0, windows_ = 0;
  Row row_{};
  int64_t cut_[2] = {}, width_ = 0, step_ = 0;
};

// Outputs [rows, columns], some with a third axis. One that is null is not written.
struct Outputs {
  int64_t *input_ids, *attention_mask, *token_type_ids, *offsets, *word_offsets, *sequence_ids, *row_texts, *cut;
  bool* owned;
};

// Step 9: writes a row, the number-th.
void write_row(const Settings& settings, const Tokens* sequences, const Row& row, int64_t number, int64_t columns,
               const Outputs& outputs);

}  // namespace mbert
