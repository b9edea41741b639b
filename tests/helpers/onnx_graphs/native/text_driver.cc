// Runs the tokenizer of the kernels without onnxruntime, so that tests can run it for another processor under an emulator.
// Reads settings, tables and texts from standard input, as numbers of 64 bits and arrays, each after its length; writes
// rows, columns and all outputs to standard output the same way.
//
//   text_driver           the outputs of all texts
//   text_driver ROUNDS    the median time of each text alone, in nanoseconds, with the three inputs of a model as outputs
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "text/text.h"

using namespace mbert;

namespace {

int64_t number() {
  int64_t read = 0;
  if (fread(&read, sizeof(read), 1, stdin) != 1) exit(3);
  return read;
}

// An array in memory of its own, as large as it is: a sanitizer finds what is read behind it.
template <class Element>
const Element* array(size_t* count) {
  *count = static_cast<size_t>(number());
  Element* elements = static_cast<Element*>(malloc(*count * sizeof(Element)));
  if (fread(elements, sizeof(Element), *count, stdin) != *count) exit(3);
  return elements;
}

Numbers numbers(size_t* count) {
  const bool is_wide = number();
  if (is_wide) return {array<int32_t>(count), true};
  return {array<uint16_t>(count), false};
}

void read(Tokenizer* tokenizer) {
  Settings& settings = tokenizer->settings;
  settings.has_pair = number();
  settings.has_windows = number();
  settings.windowed = static_cast<int>(number());
  settings.shift = static_cast<int>(number());
  for (int32_t& root : settings.roots) root = static_cast<int32_t>(number());
  settings.last_space = static_cast<uint32_t>(number());
  settings.last_isolated = static_cast<uint32_t>(number());
  settings.first_added = static_cast<uint32_t>(number());
  settings.unknown = static_cast<int32_t>(number());
  settings.longest_word = number();
  settings.padding = number();
  settings.truncation = static_cast<int>(number());
  settings.cut_left = number();
  settings.limit = number();
  settings.columns = number();
  size_t count = 0;
  settings.parts = reinterpret_cast<const TemplatePart*>(array<int64_t>(&count));
  settings.part_count = static_cast<int>(count / 3);
  Tables& tables = tokenizer->tables;
  tables.width = static_cast<size_t>(number());
  tables.blocks = array<uint16_t>(&count);
  tables.classes = array<uint16_t>(&tables.class_places);
  tables.expansions = array<uint16_t>(&count);
  tables.raw_symbols = array<uint16_t>(&tables.class_count);
  tables.class_flags = array<uint8_t>(&count);
  tables.symbol_flags = array<uint8_t>(&tables.symbol_count);
  tables.added = array<int32_t>(&tables.added_count);
  tables.added_count /= 2;
  tables.check = array<uint16_t>(&tables.slots);
  tables.base = numbers(&count);
  tables.entries = numbers(&tables.entry_slots);
  tables.lengths = array<uint8_t>(&count);
}

// The rows of a batch, in memory that is kept.
class Batch {
 public:
  void run(const Tokenizer& tokenizer, const Texts* sequences, int64_t texts, int64_t max_length, int64_t stride,
           bool all) {
    const Settings& settings = tokenizer.settings;
    Tokens tokens[2];
    Outcome outcome = Outcome::TOO_MANY_SYMBOLS;
    for (int64_t room = 1; outcome == Outcome::TOO_MANY_SYMBOLS; room = static_cast<int64_t>(tokenizer.tables.width)) {
      memory_.resize(std::max<size_t>(memory_.size(), batch_bytes(sequences, settings.sequences(), texts, room)));
      outcome = tokenize_batch(tokenizer, sequences, texts, room, memory_.data(), tokens);
    }
    if (outcome != Outcome::DONE) exit(4);
    Row row;
    rows = columns = 0;
    for (TextRows plan(settings, tokens, texts, max_length, stride); plan.next(&row); rows++)
      columns = std::max(columns, row.tokens);
    columns = settings.columns ? settings.columns : columns;
    const size_t cells = static_cast<size_t>(rows * columns);
    for (int i = 0; i < NUMBERS; i++) numbers[i].resize(i == 3 || i == 4 ? 2 * cells : cells);
    row_texts.resize(rows);
    cut.resize(texts * settings.sequences());
    owned.resize(cells);
    Outputs outputs{numbers[0].data(), numbers[1].data(), numbers[2].data()};
    if (all) {
      outputs.offsets = numbers[3].data();
      outputs.word_offsets = numbers[4].data();
      outputs.sequence_ids = numbers[5].data();
      outputs.row_texts = row_texts.data();
      outputs.owned = reinterpret_cast<bool*>(owned.data());
    }
    int64_t number = 0;
    for (TextRows plan(settings, tokens, texts, max_length, stride); plan.next(&row); number++) {
      write_row(settings, tokens, row, number, columns, outputs);
      for (int i = 0; i < settings.sequences(); i++) cut[row.text * settings.sequences() + i] = plan.cut(i);
    }
  }

  static constexpr int NUMBERS = 6;
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> numbers[NUMBERS], row_texts, cut;
  std::vector<char> owned;

 private:
  std::vector<char> memory_;
};

template <class Element>
void write(const std::vector<Element>& elements) {
  fwrite(elements.data(), sizeof(Element), elements.size(), stdout);
}

double median_time(const Tokenizer& tokenizer, const Texts& text, int64_t max_length, int rounds) {
  using Clock = std::chrono::steady_clock;
  Batch batch;
  std::vector<double> times;
  for (int i = 0; i < rounds; i++) {
    const Clock::time_point begin = Clock::now();
    batch.run(tokenizer, &text, 1, max_length, -1, false);
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[rounds / 2];
}

}  // namespace

int main(int argc, char** argv) {
  Tokenizer tokenizer{};
  read(&tokenizer);
  const int64_t max_length = number(), stride = number();
  Texts sequences[2] = {};
  for (int i = 0; i < tokenizer.settings.sequences(); i++) {
    size_t size = 0, splits = 0;
    sequences[i].bytes = array<uint8_t>(&size);
    sequences[i].splits = array<int64_t>(&splits);
    sequences[i].size = static_cast<int64_t>(size);
    sequences[i].split_count = static_cast<int64_t>(splits);
  }
  const int64_t texts = std::max<int64_t>(sequences[0].split_count - 1, 0);
  if (argc > 1) {
    std::vector<double> times;
    for (int64_t i = 0; i < texts; i++) {
      const int64_t begin = sequences[0].splits[i], own[] = {0, sequences[0].splits[i + 1] - begin};
      times.push_back(median_time(tokenizer, {sequences[0].bytes + begin, own[1], own, 2}, max_length, atoi(argv[1])));
    }
    write(times);
    return 0;
  }
  Batch batch;
  batch.run(tokenizer, sequences, texts, max_length, stride, true);
  write(std::vector<int64_t>{batch.rows, batch.columns});
  for (const std::vector<int64_t>& one : batch.numbers) write(one);
  write(batch.row_texts);
  write(batch.cut);
  if (tokenizer.settings.has_windows) write(batch.owned);
  return 0;
}
