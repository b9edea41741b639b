// The nodes of mbert.Tokenize, TokenizePair, TokenizeWindows and TokenizePairWindows.
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/tokenizer_reader.h"
#include "ort/scratch.h"
#include "text/text.h"

namespace mbert {

namespace {

enum OutputIndex { INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS, OFFSETS, WORD_OFFSETS, SEQUENCE_IDS, ROW_TEXTS, CUT, OWNED };

struct TokenizeNode : Node {
  using Node::Node;

  const char* name = nullptr;
  Tokenizer tokenizer{};
  TemplatePart* parts = nullptr;
  Tensor tables[TABLES];
  bool is_constant[TABLES] = {}, has_constant_tables = true;

  size_t first_table() const { return (settings().has_pair ? 4 : 2) + 1 + settings().has_windows; }
  const Settings& settings() const { return tokenizer.settings; }

  // The inputs of a run, without the tables.
  struct Batch {
    Texts sequences[2];
    int64_t texts, max_length, stride;
  };

  Status read_settings_and_tables(const OrtKernelInfo* info, size_t count) {
    if (count != first_table() + TABLES)
      return ort.fail(Message() << name << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                << static_cast<int64_t>(first_table() + TABLES));
    TRY(read_settings(ort, info, name, &tokenizer.settings, &parts));
    for (int i = 0; i < TABLES; i++) {
      TRY(ort.constant_if_it_is(info, first_table() + i, &tables[i], &is_constant[i]));
      has_constant_tables = has_constant_tables && is_constant[i];
    }
    return has_constant_tables ? set_tables(ort, name, tables, &tokenizer) : nullptr;
  }

  // Returns the tokenizer of a run, which may have tables that are no constants.
  Status read_tables(OrtKernelContext* context, Tokenizer* own) const {
    *own = tokenizer;
    if (has_constant_tables) return nullptr;
    Tensor all[TABLES];
    for (int i = 0; i < TABLES; i++) {
      all[i] = tables[i];
      if (!is_constant[i]) TRY(ort.input(context, first_table() + i, &all[i]));
    }
    return set_tables(ort, name, all, own);
  }

  Status read_number(OrtKernelContext* context, size_t index, const char* what, int64_t* number) const {
    Tensor tensor;
    TRY(ort.input(context, index, &tensor));
    if (tensor.type != INT64 || tensor.rank > MAX_RANK || tensor.count() != 1)
      return ort.fail(Message() << name << ": " << what << " is " << tensor << "; expected int64 [] or [1]");
    *number = *static_cast<const int64_t*>(tensor.data);
    return nullptr;
  }

  Status read_batch(OrtKernelContext* context, Batch* batch) const {
    static constexpr const char* const BYTES[] = {"text", "pair"};
    static constexpr const char* const SPLITS[] = {"row_splits", "pair_splits"};
    size_t index = 0;
    int64_t bytes = 0;
    for (int i = 0; i < settings().sequences(); i++) {
      Tensor data, splits;
      TRY(ort.input(context, index++, &data));
      TRY(ort.input(context, index++, &splits));
      if (!data.is(UINT8, 1))
        return ort.fail(Message() << name << ": " << BYTES[i] << " is " << data << "; expected uint8 [bytes]");
      if (!splits.is(INT64, 1))
        return ort.fail(Message() << name << ": " << SPLITS[i] << " is " << splits << "; expected int64 [texts + 1]");
      if (__builtin_add_overflow(bytes, data.sizes[0], &bytes) || bytes > MAX_BYTES)
        return ort.fail(Message() << name << ": " << BYTES[i] << " is " << data << "; expected at most " << MAX_BYTES
                                  << " bytes in all");
      batch->sequences[i] = {static_cast<const uint8_t*>(data.data), data.sizes[0],
                             static_cast<const int64_t*>(splits.data), splits.sizes[0]};
    }
    const int64_t splits = batch->sequences[0].split_count;
    batch->texts = splits > 1 ? splits - 1 : 1;
    TRY(read_number(context, index++, "max_length", &batch->max_length));
    return settings().has_windows ? read_number(context, index, "stride", &batch->stride) : nullptr;
  }

  Status run(OrtKernelContext* context) const {
    Tokenizer own;
    Batch batch{};
    TRY(read_tables(context, &own));
    TRY(read_batch(context, &batch));
    const int sequences = settings().sequences();
    int64_t bytes = 0;
    for (int i = 0; i < sequences; i++) bytes += batch.sequences[i].size;
    // Once more, with room for the most symbols, where a text has more symbols than bytes.
    const int64_t rooms[] = {1, static_cast<int64_t>(own.tables.width)};
    for (const int64_t symbols_per_byte : rooms) {
      if (symbols_per_byte * bytes > MAX_BYTES)
        return ort.fail(Message() << name << ": the texts have " << bytes << " bytes; expected fewer, as these have "
                                  << "more symbols than bytes");
      char* memory = nullptr;
      Tokens tokens[2];
      TRY(scratch_pool.take(ort, batch_bytes(batch.sequences, sequences, batch.texts, symbols_per_byte), &memory));
      const Outcome outcome =
          tokenize_batch(own, batch.sequences, batch.texts, symbols_per_byte, memory, tokens);
      Status status = nullptr;
      if (outcome == Outcome::DONE) status = write(context, batch, tokens);
      scratch_pool.give_back(ort, memory);
      if (outcome == Outcome::DONE) return status;
      if (outcome == Outcome::WRONG_TABLES) break;
    }
    return ort.fail(Message() << name << ": a table has a number for which another table has no place; expected the "
                              << "tables of one tokenizer");
  }

  Status write(OrtKernelContext* context, const Batch& batch, const Tokens* tokens) const {
    const int sequences = settings().sequences();
    int64_t count = 0, longest = 0;
    Row row;
    for (TextRows rows(settings(), tokens, batch.texts, batch.max_length, batch.stride); rows.next(&row); count++)
      longest = row.tokens > longest ? row.tokens : longest;
    const int64_t columns = settings().columns ? settings().columns : longest;
    const int64_t sizes[] = {count, columns, 2}, no_spans[] = {0, 0, 2}, cut_sizes[] = {batch.texts, sequences};
    Outputs to{};
    const struct {
      OutputIndex index;
      void* data;  // the pointer that is set
      size_t rank;
    } arrays[] = {{INPUT_IDS, &to.input_ids, 2},       {ATTENTION_MASK, &to.attention_mask, 2},
                  {TOKEN_TYPE_IDS, &to.token_type_ids, 2}, {OFFSETS, &to.offsets, 3},
                  {WORD_OFFSETS, &to.word_offsets, 3}, {SEQUENCE_IDS, &to.sequence_ids, 2},
                  {ROW_TEXTS, &to.row_texts, 1},       {OWNED, &to.owned, 2}};
    for (const auto& one : arrays)
      if (one.index != OWNED || settings().has_windows)
        TRY(ort.output(context, one.rank == 3 && !settings().spans ? no_spans : sizes, one.rank,
                       static_cast<void**>(one.data), one.index));
    if (!settings().spans) to.offsets = to.word_offsets = nullptr;
    TRY(ort.output(context, cut_sizes, 2, reinterpret_cast<void**>(&to.cut), CUT));
    int64_t number = 0;
    for (TextRows rows(settings(), tokens, batch.texts, batch.max_length, batch.stride); rows.next(&row); number++) {
      write_row(settings(), tokens, row, number, columns, to);
      for (int i = 0; i < sequences && to.cut; i++) to.cut[row.text * sequences + i] = rows.cut(i);
    }
    return nullptr;
  }
};

// What all forms share.
struct TokenizeOp {
  using NodeType = TokenizeNode;
  static constexpr const char* NAME = "Tokenize";
  static constexpr int TYPE = INT64;

  static void destroy(void* memory) {
    TokenizeNode* node = static_cast<TokenizeNode*>(memory);
    if (!node) return;
    node->ort.release(node->parts);
    node->destroy();
  }

  static Status read(TokenizeNode* node, const OrtKernelInfo* info, size_t count) {
    return node->read_settings_and_tables(info, count);
  }

  static Status compute(void* memory, OrtKernelContext* context) {
    return static_cast<const TokenizeNode*>(memory)->run(context);
  }
};

template <bool HAS_PAIR, bool HAS_WINDOWS>
struct Form : TokenizeOp {
  static constexpr const char* FORM = HAS_PAIR ? HAS_WINDOWS ? "TokenizePairWindows" : "TokenizePair"
                                               : HAS_WINDOWS ? "TokenizeWindows" : "Tokenize";

  static Status read(TokenizeNode* node, const OrtKernelInfo* info, size_t count) {
    node->name = FORM;
    node->tokenizer.settings.has_pair = HAS_PAIR;
    node->tokenizer.settings.has_windows = HAS_WINDOWS;
    return TokenizeOp::read(node, info, count);
  }

  // Outputs are optional: a file reads few of them, and the others are not written.
  static constexpr OrtCustomOp description() {
    OrtCustomOp op = custom_op<TokenizeOp>();
    op.GetName = [](const OrtCustomOp*) { return FORM; };
    op.GetOutputType = [](const OrtCustomOp*, size_t index) { return index == OWNED ? BOOL : INT64; };
    op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return HAS_WINDOWS ? OWNED + 1 : OWNED; };
#ifndef MBERT_STANDALONE
    op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return OPTIONAL; };
#endif
    op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** node) {
      return create_node<Form>(api, info, node);
    };
    return op;
  }
};

}  // namespace

constexpr OrtCustomOp tokenize_op = Form<false, false>::description();
constexpr OrtCustomOp tokenize_pair_op = Form<true, false>::description();
constexpr OrtCustomOp tokenize_windows_op = Form<false, true>::description();
constexpr OrtCustomOp tokenize_pair_windows_op = Form<true, true>::description();

}  // namespace mbert
