// The nodes of mbert.Embeddings, mbert.EmbeddingsInt8 and mbert.EmbeddingsFloat16.
#include "blocks/product.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/weights.h"
#include "ort/scratch.h"

namespace mbert {

namespace {

struct EmbeddingsNode : Node {
  using Node::Node;
  const char* name = nullptr;
  Precision precision = Precision::FLOAT;
  Weight weight;

  bool is_int8() const { return precision == Precision::INT8; }
  bool is_half() const { return precision == Precision::HALF; }
  // The type of y and of the tables, except int8's word embeddings.
  int type() const { return is_half() ? FLOAT16 : FLOAT; }
  const char* type_name() const { return is_half() ? "float16" : "float"; }
  // In int8, the word embeddings and the weight are each followed by their scales.
  size_t positions_input() const { return is_int8() ? 4 : 3; }
};

// The rows of a table that token numbers select, in float32.
struct Table {
  Tensor rows;
  const float* scales = nullptr;  // int8: [number of rows, 1]

  void copy_row(const Isa& isa, int64_t number, float* to) const {
    const int64_t width = rows.sizes[1];
    if (rows.type == FLOAT16) {
      isa.halves_to_floats(static_cast<const uint16_t*>(rows.data) + number * width, static_cast<size_t>(width), to);
    } else if (rows.type == INT8) {
      const int8_t* from = static_cast<const int8_t*>(rows.data) + number * width;
      for (int64_t i = 0; i < width; i++) to[i] = static_cast<float>(from[i]) * scales[number];
    } else {
      __builtin_memcpy(to, rows.floats() + number * width, static_cast<size_t>(width) * sizeof(float));
    }
  }
};

// What all precisions share: their code is there once.
struct AnyEmbeddingsOp {
  using NodeType = EmbeddingsNode;
  enum Input : size_t { INPUT_IDS, TOKEN_TYPE_IDS, WORDS, SCALES };

  static void destroy(void* memory) {
    EmbeddingsNode* node = static_cast<EmbeddingsNode*>(memory);
    if (!node) return;
    release(node->ort, &node->weight);
    node->destroy();
  }

  static Status read(EmbeddingsNode* node, const OrtKernelInfo* info, size_t count) {
    const size_t weight = node->positions_input() + 2, inputs = weight + (node->is_int8() ? 2 : 1);
    if (count != inputs)
      return node->ort.fail(Message() << node->name << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                      << static_cast<int64_t>(inputs));
    WeightReader reader(node->ort, *node->isa, info, node->precision, weight);
    int k = 0, n = 0;
    reader.read(&node->weight, &k, &n, false, "weight");
    if (k % 3) reader.refuse(Message() << "weight has " << k << " rows; expected a multiple of 3");
    return reader.status();
  }

  // One phase, whose chunks are tokens.
  struct Run {
    const EmbeddingsNode* node;
    Tensor input_ids, token_type_ids;
    Table words, positions, types;
    void* y;
    int tokens, length, tokens_per_chunk;
    char* scratch;
    size_t scratch_bytes;

    // y = (next | this | previous word embedding)·weight + position + type
    void compute(int, int chunk) const {
      const Isa& isa = *node->isa;
      const Weight& weight = node->weight;
      const int first = chunk * tokens_per_chunk, width = weight.k / 3, hidden = weight.n;
      const int count = tokens - first < tokens_per_chunk ? tokens - first : tokens_per_chunk;
      Scratch own(scratch + chunk * scratch_bytes);
      float* trigrams = own.take<float>(static_cast<size_t>(count) * weight.k);
      float* residual = own.take<float>(static_cast<size_t>(count) * hidden);
      float* type = own.take<float>(hidden);
      // The words of these tokens, and of one more on either side.
      float* near = own.take<float>((count + size_t{2}) * width);
      const Quantized quantized = take_quantized(own, count, weight.k);
      for (int token = first ? first - 1 : 0; token <= first + count && token < tokens; token++)
        words.copy_row(isa, number(input_ids, token, words), near + static_cast<size_t>(token - first + 1) * width);
      for (int row = 0; row < count; row++) {
        const int token = first + row, position = token % length;
        float* trigram = trigrams + static_cast<size_t>(row) * weight.k;
        for (int part = 0; part < 3; part++, trigram += width) {
          const int shift = 1 - part;  // the next word, this one, the previous one
          const bool is_inside = position + shift >= 0 && position + shift < length;
          const float* word = near + static_cast<size_t>(row + 1 + shift) * width;
          if (is_inside)
            __builtin_memcpy(trigram, word, static_cast<size_t>(width) * sizeof(float));
          else
            __builtin_memset(trigram, 0, static_cast<size_t>(width) * sizeof(float));
        }
        float* sum = residual + static_cast<size_t>(row) * hidden;
        positions.copy_row(isa, position, sum);
        types.copy_row(isa, number(token_type_ids, token, types), type);
        for (int i = 0; i < hidden; i++) sum[i] += type[i];
      }
      const size_t start = static_cast<size_t>(first) * hidden;
      const bool is_half = node->is_half();
      float* to = is_half ? residual : static_cast<float*>(y) + start;
      product(isa, node->precision, trigrams, weight.k, count, weight, quantized, {to, hidden, false, residual, hidden});
      if (is_half)
        isa.floats_to_halves(to, static_cast<size_t>(count) * hidden, static_cast<uint16_t*>(y) + start);
    }
  };

  // The row of a table that a token number means; those below 0 count from the end, as ONNX's Gather has it.
  static int64_t number(const Tensor& ids, int64_t token, const Table& table) {
    const int64_t id = ids.type == INT32 ? static_cast<const int32_t*>(ids.data)[token]
                                         : static_cast<const int64_t*>(ids.data)[token];
    return id < 0 ? id + table.rows.sizes[0] : id;
  }

  static Status read_table(const EmbeddingsNode& node, OrtKernelContext* context, size_t index, const char* name, int type,
                           const char* type_name, int width, Table* table) {
    const Ort& ort = node.ort;
    TRY(ort.input(context, index, &table->rows));
    if (!table->rows.is(type, 2) || table->rows.sizes[1] != width)
      return ort.fail(Message() << node.name << ": " << name << " is " << table->rows << "; expected " << type_name
                                << " [rows, " << width << "]");
    return nullptr;
  }

  static Status read_numbers(const EmbeddingsNode& node, OrtKernelContext* context, size_t index, const char* name,
                             const Table& table, Tensor* ids) {
    const Ort& ort = node.ort;
    TRY(ort.input(context, index, ids));
    if (!ids->is(INT64, 2) && !ids->is(INT32, 2))
      return ort.fail(Message() << node.name << ": " << name << " is " << *ids << "; expected int64 [batch, seq]");
    const int64_t tokens = ids->sizes[0] * ids->sizes[1], rows = table.rows.sizes[0];
    for (int64_t token = 0; token < tokens; token++) {
      const int64_t row = number(*ids, token, table);
      if (row < 0 || row >= rows)
        return ort.fail(Message() << node.name << ": " << name << " has an id out of data bounds, "
                                  << (row < 0 ? row - rows : row) << "; expected " << -rows << " to " << rows - 1);
    }
    return nullptr;
  }

  static Status compute(void* memory, OrtKernelContext* context) {
    EmbeddingsNode* node = static_cast<EmbeddingsNode*>(memory);
    const Ort& ort = node->ort;
    const Weight& weight = node->weight;
    Run run{};
    run.node = node;
    const bool is_int8 = node->is_int8();
    const int type = node->type();
    const char* type_name = node->type_name();
    const size_t positions = node->positions_input();
    TRY(read_table(*node, context, WORDS, "words", is_int8 ? INT8 : type, is_int8 ? "int8" : type_name, weight.k / 3,
                   &run.words));
    TRY(read_table(*node, context, positions, "positions", type, type_name, weight.n, &run.positions));
    TRY(read_table(*node, context, positions + 1, "types", type, type_name, weight.n, &run.types));
    if (is_int8) {
      Table scales;
      TRY(read_table(*node, context, SCALES, "the scales of words", FLOAT, "float", 1, &scales));
      if (scales.rows.sizes[0] != run.words.rows.sizes[0])
        return ort.fail(Message() << node->name << ": words is " << run.words.rows << ", its scales are " << scales.rows
                                  << "; expected as many rows");
      run.words.scales = scales.rows.floats();
    }
    TRY(read_numbers(*node, context, INPUT_IDS, "input_ids", run.words, &run.input_ids));
    TRY(read_numbers(*node, context, TOKEN_TYPE_IDS, "token_type_ids", run.types, &run.token_type_ids));
    const int64_t batch = run.input_ids.sizes[0], length = run.input_ids.sizes[1];
    if (run.token_type_ids.sizes[0] != batch || run.token_type_ids.sizes[1] != length)
      return ort.fail(Message() << node->name << ": token_type_ids is " << run.token_type_ids << "; expected [" << batch
                                << ", " << length << "], as input_ids");
    if (length > run.positions.rows.sizes[0] || batch * length > (1 << 24))
      return ort.fail(Message() << node->name << ": input_ids is " << run.input_ids << "; expected at most "
                                << run.positions.rows.sizes[0] << " tokens, the positions of the model, and 2^24 in all");
    const int64_t sizes[] = {batch * length, weight.n};
    TRY(ort.output(context, sizes, 2, &run.y));
    run.tokens = static_cast<int>(sizes[0]);
    run.length = static_cast<int>(length);
    if (!run.tokens) return nullptr;
    TRY(node->task_rows(context, run.tokens, most_rows(node->precision), &run.tokens_per_chunk));
    const int chunks = (run.tokens + run.tokens_per_chunk - 1) / run.tokens_per_chunk;
    run.scratch_bytes = float_bytes(run.tokens_per_chunk, weight.k) + float_bytes(run.tokens_per_chunk + 1, weight.n) +
                        float_bytes(run.tokens_per_chunk + 2, weight.k / 3) +
                        quantized_bytes(run.tokens_per_chunk, weight.k) + 2 * CACHE_LINE;
    TRY(scratch_pool.take(ort, static_cast<uint64_t>(chunks) * run.scratch_bytes, &run.scratch));
    Status status = node->run_phases(context, 1, chunks, run);
    scratch_pool.give_back(ort, run.scratch);
    return status;
  }
};

template <Precision PRECISION>
struct EmbeddingsOp : AnyEmbeddingsOp {
  static constexpr bool IS_INT8 = PRECISION == Precision::INT8, IS_HALF = PRECISION == Precision::HALF;
  static constexpr const char* NAME = IS_INT8 ? "EmbeddingsInt8" : IS_HALF ? "EmbeddingsFloat16" : "Embeddings";
  static constexpr int TYPE = IS_HALF ? FLOAT16 : FLOAT;  // of y

  static Status read(EmbeddingsNode* node, const OrtKernelInfo* info, size_t count) {
    node->name = NAME;
    node->precision = PRECISION;
    return AnyEmbeddingsOp::read(node, info, count);
  }
};

}  // namespace

constexpr OrtCustomOp embeddings_op = custom_op<EmbeddingsOp<Precision::FLOAT>>();
constexpr OrtCustomOp embeddings_int8_op = custom_op<EmbeddingsOp<Precision::INT8>>();
constexpr OrtCustomOp embeddings_float16_op = custom_op<EmbeddingsOp<Precision::HALF>>();

}  // namespace mbert
