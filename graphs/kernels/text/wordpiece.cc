#include "text/text.h"
#include "text/trie.h"

namespace mbert {

namespace {

// Writes the tokens of the word that consists of these symbols. Returns their number, 0 where the word is unknown, and −1
// where the tables are wrong.
int64_t cut_word(const Tables& tables, const Settings& settings, const Symbol* symbols, uint32_t count, Token* tokens) {
  if (count > settings.longest_word) return 0;
  const uint32_t word_begin = symbols[0].begin, word_end = symbols[count - 1].end;
  int64_t written = 0;
  for (uint32_t place = 0; place < count;) {
    Walk walk(tables, settings.roots[place ? INNER_ROOT : WORD_ROOT]);
    for (uint32_t at = place; at < count && walk.step(symbols[at].number); at++) {
    }
    int32_t id = 0;
    const int length = walk.longest(&id);
    if (length <= 0) return length;
    tokens[written++] = {id, symbols[place].begin, symbols[place + length - 1].end, word_begin, word_end};
    place += length;
  }
  return written;
}

}  // namespace

Outcome write_tokens(const Tokenizer& tokenizer, const Symbol* symbols, uint32_t count, Token* tokens,
                     uint32_t* written) {
  const Settings& settings = tokenizer.settings;
  uint32_t tokens_written = 0;
  for (uint32_t begin = 0, end; begin < count; begin = end) {
    end = begin + 1;
    const uint32_t first = symbols[begin].number;
    if (first <= settings.last_space) continue;
    if (first > settings.last_isolated)
      while (end < count && symbols[end].number > settings.last_isolated) end++;
    Token* to = tokens + tokens_written;
    int64_t more = cut_word(tokenizer.tables, settings, symbols + begin, end - begin, to);
    if (more < 0) return Outcome::WRONG_TABLES;
    if (more == 0) {
      const uint32_t from = symbols[begin].begin, behind = symbols[end - 1].end;
      *to = {settings.unknown, from, behind, from, behind};
      more = 1;
    }
    tokens_written += static_cast<uint32_t>(more);
  }
  *written = tokens_written;
  return Outcome::DONE;
}

}  // namespace mbert
