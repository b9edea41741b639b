#include "operators/tokenizer_reader.h"

namespace mbert {

namespace {

// The largest symbol, and the most bits of a place in a block.
constexpr int64_t MAX_SYMBOL = 65535, MAX_SHIFT = 20;
constexpr int64_t MAX_COLUMNS = (int64_t{1} << 31) - 1;

constexpr struct {
  const char* name;
  int type, wide, rank;  // wide: the other type that it may have, or the same
  const char* expected;
} LAYOUTS[TABLES] = {
    {"blocks", UINT16, UINT16, 1, "uint16 [blocks]"},
    {"classes", UINT16, UINT16, 1, "uint16 [places]"},
    {"expansions", UINT16, UINT16, 2, "uint16 [classes, width]"},
    {"raw_symbols", UINT16, UINT16, 1, "uint16 [classes]"},
    {"class_flags", UINT8, UINT8, 1, "uint8 [classes]"},
    {"symbol_flags", UINT8, UINT8, 1, "uint8 [symbols]"},
    {"added", INT32, INT32, 2, "int32 [added tokens, 2]"},
    {"check", UINT16, UINT16, 1, "uint16 [slots]"},
    {"base", UINT16, INT32, 1, "uint16 or int32 [slots]"},
    {"entries", UINT16, INT32, 1, "uint16 or int32 [slots]"},
    {"lengths", UINT8, UINT8, 1, "uint8 [slots]"},
};

// Reads attributes, within bounds. Keeps the first error; calls after it do nothing.
class AttributeReader {
 public:
  AttributeReader(const Ort& ort, const OrtKernelInfo* info, const char* node) : ort_(ort), info_(info), node_(node) {}

  int64_t read(const char* name, int64_t least, int64_t most) {
    int64_t number = 0;
    if (!status) status = ort_.attribute(info_, name, &number);
    check(name, number, least, most);
    return number;
  }
  void check(const char* name, int64_t number, int64_t least, int64_t most) {
    if (!status && (number < least || number > most))
      status = ort_.fail(Message() << node_ << ": attribute " << name << " is " << number << "; expected " << least
                                   << " to " << most);
  }

  Status status = nullptr;

 private:
  const Ort& ort_;
  const OrtKernelInfo* info_;
  const char* node_;
};

}  // namespace

Status read_settings(const Ort& ort, const OrtKernelInfo* info, const char* name, Settings* settings,
                     TemplatePart** parts) {
  constexpr int64_t ANY = INT64_MAX;
  constexpr size_t PART = sizeof(TemplatePart) / sizeof(int64_t);
  size_t numbers = 0;
  TRY(ort.attribute_length(info, "template", &numbers));
  if (numbers % PART)
    return ort.fail(Message() << name << ": attribute template has " << static_cast<int64_t>(numbers)
                              << " numbers; expected three for each part");
  void* memory = nullptr;
  TRY(ort.allocate(numbers * sizeof(int64_t), &memory));
  *parts = static_cast<TemplatePart*>(memory);
  TRY(ort.attribute(info, "template", static_cast<int64_t*>(memory), numbers));
  AttributeReader reader(ort, info, name);
  const int last = settings->sequences() - 1;
  settings->parts = *parts;
  settings->part_count = static_cast<int>(numbers / PART);
  for (int i = 0; i < settings->part_count; i++) {
    reader.check("template", settings->parts[i].is_sequence, 0, 1);
    if (settings->parts[i].is_sequence) reader.check("template", settings->parts[i].number, 0, last);
  }
  int64_t roots[ROOTS] = {};
  if (!reader.status) reader.status = ort.attribute(info, "roots", roots, ROOTS);
  for (int i = 0; i < ROOTS; i++) {
    reader.check("roots", roots[i], 0, INT32_MAX);
    settings->roots[i] = static_cast<int32_t>(roots[i]);
  }
  settings->shift = static_cast<int>(reader.read("shift", 0, MAX_SHIFT));
  settings->last_space = static_cast<uint32_t>(reader.read("last_space", 0, MAX_SYMBOL));
  settings->last_isolated = static_cast<uint32_t>(reader.read("last_isolated", settings->last_space, MAX_SYMBOL));
  settings->first_added = static_cast<uint32_t>(reader.read("first_added", 0, MAX_SYMBOL));
  settings->unknown = static_cast<int32_t>(reader.read("unknown", INT32_MIN, INT32_MAX));
  settings->longest_word = reader.read("longest_word", -ANY, ANY);
  settings->padding = reader.read("padding", -ANY, ANY);
  settings->truncation = static_cast<int>(reader.read("truncation", NO_TRUNCATION, ONLY_PAIR));
  settings->cut_left = reader.read("truncation_side", 0, 1) != 0;
  settings->limit = reader.read("limit", -ANY, ANY);
  settings->columns = reader.read("columns", 0, MAX_COLUMNS);
  settings->spans = reader.read("spans", 0, 1) != 0;
  if (settings->has_windows) settings->windowed = static_cast<int>(reader.read("windowed", 0, last));
  return reader.status;
}

Status set_tables(const Ort& ort, const char* name, const Tensor* tensors, Tokenizer* tokenizer) {
  size_t sizes[TABLES];
  for (int i = 0; i < TABLES; i++) {
    const Tensor& one = tensors[i];
    const auto& layout = LAYOUTS[i];
    if ((!one.is(layout.type, layout.rank) && !one.is(layout.wide, layout.rank)) || (i == ADDED && one.sizes[1] != 2))
      return ort.fail(Message() << name << ": " << layout.name << " is " << one << "; expected " << layout.expected);
    sizes[i] = static_cast<size_t>(one.sizes[0]);
  }
  const Settings& settings = tokenizer->settings;
  const struct {
    bool is_right;
    Table table;
    const char* expected;
  } relations[] = {
      {sizes[BLOCKS] > (CODE_POINTS - 1) >> settings.shift, BLOCKS, "one for each block of code points"},
      {sizes[EXPANSIONS] > 0 && tensors[EXPANSIONS].sizes[1] > 0, EXPANSIONS, "one class and one symbol at least"},
      {sizes[RAW_SYMBOLS] == sizes[EXPANSIONS], RAW_SYMBOLS, "as many as expansions has rows"},
      {sizes[CLASS_FLAGS] == sizes[EXPANSIONS], CLASS_FLAGS, "as many as expansions has rows"},
      {settings.first_added + sizes[ADDED] <= MAX_SYMBOL + 1, ADDED, "tokens whose symbols are below 65536"},
      {sizes[BASE] == sizes[CHECK], BASE, "as many as check has"},
      {sizes[LENGTHS] == sizes[ENTRIES], LENGTHS, "as many as entries has"},
  };
  for (const auto& one : relations)
    if (!one.is_right)
      return ort.fail(Message() << name << ": " << LAYOUTS[one.table].name << " is " << tensors[one.table]
                                << "; expected " << one.expected);
  const auto uint16s = [&](Table table) { return static_cast<const uint16_t*>(tensors[table].data); };
  const auto uint8s = [&](Table table) { return static_cast<const uint8_t*>(tensors[table].data); };
  const auto numbers = [&](Table table) { return Numbers{tensors[table].data, tensors[table].type == INT32}; };
  tokenizer->tables = {uint16s(BLOCKS),
                       uint16s(CLASSES),
                       sizes[CLASSES],
                       uint16s(EXPANSIONS),
                       uint16s(RAW_SYMBOLS),
                       uint8s(CLASS_FLAGS),
                       sizes[EXPANSIONS],
                       static_cast<size_t>(tensors[EXPANSIONS].sizes[1]),
                       uint8s(SYMBOL_FLAGS),
                       sizes[SYMBOL_FLAGS],
                       static_cast<const int32_t*>(tensors[ADDED].data),
                       sizes[ADDED],
                       uint16s(CHECK),
                       numbers(BASE),
                       sizes[CHECK],
                       numbers(ENTRIES),
                       uint8s(LENGTHS),
                       sizes[ENTRIES]};
  return nullptr;
}

}  // namespace mbert
