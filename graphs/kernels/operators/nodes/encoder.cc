// The nodes of mbert.Encoder and mbert.EncoderInt8.
#include "blocks/encoder.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/scores.h"
#include "operators/weights.h"
#include "ort/scratch.h"

namespace mbert {

namespace {

struct EncoderNode : Node {
  using Node::Node;
  Encoder encoder;
};

template <bool INT8>
struct EncoderOp {
  using NodeType = EncoderNode;
  static constexpr const char* NAME = INT8 ? "EncoderInt8" : "Encoder";
  static constexpr int64_t MAX_LAYERS = 1024;
  // Inputs: x, mask, heads; then, for each layer: its factors, if it has any; the attention's three weights, of which
  // two have biases; two weights and a bias for each network; a last weight. In int8 all weights have scales.
  static constexpr size_t FIRST_WEIGHT = 3, ATTENTION = INT8 ? 8 : 5, NETWORK = INT8 ? 5 : 3, LAST = INT8 ? 2 : 1;

  static void destroy(void* memory) {
    EncoderNode* node = static_cast<EncoderNode*>(memory);
    if (!node) return;
    for (int i = 0; i < node->encoder.layers; i++) {
      Layer& layer = node->encoder.layer[i];
      release(node->ort, &layer.factors);
      release(node->ort, &layer.attention);
      release(node->ort, &layer.ffn);
    }
    node->ort.release(node->encoder.layer);
    node->destroy();
  }

  static Status read(EncoderNode* node, const OrtKernelInfo* info, size_t count) {
    const Ort& ort = node->ort;
    int64_t layers = 0, networks = 0;
    TRY(ort.attribute(info, "layers", &layers));
    TRY(ort.attribute(info, "networks", &networks));
    if (layers < 1 || layers > MAX_LAYERS || networks < 1 || networks > MAX_NETWORKS)
      return ort.fail(Message() << NAME << " has layers = " << layers << " and networks = " << networks
                                << "; expected 1 to " << MAX_LAYERS << " layers of 1 to " << MAX_NETWORKS
                                << " networks");
    int64_t has_factors[MAX_LAYERS];
    TRY(ort.attribute(info, "factors", has_factors, static_cast<size_t>(layers)));
    size_t expected = FIRST_WEIGHT + layers * (ATTENTION + networks * NETWORK + LAST);
    for (int i = 0; i < layers; i++) expected += has_factors[i] != 0;
    if (count != expected)
      return ort.fail(Message() << NAME << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                << static_cast<int64_t>(expected) << " for " << layers << " layers of " << networks
                                << " networks");
    Encoder& encoder = node->encoder;
    void* memory = nullptr;
    TRY(ort.allocate(layers * sizeof(Layer), &memory));
    encoder.layer = static_cast<Layer*>(memory);
    encoder.layers = static_cast<int>(layers);
    for (int i = 0; i < layers; i++) new (encoder.layer + i) Layer;
    WeightReader reader(ort, *node->isa, info, INT8, FIRST_WEIGHT);
    for (int i = 0; i < layers; i++) {
      Layer& layer = encoder.layer[i];
      BottleneckAttention& attention = layer.attention;
      StackedFFN& ffn = layer.ffn;
      attention.int8 = ffn.int8 = INT8;
      if (i) {  // all layers have the widths of the first
        attention.hidden = encoder.attention().hidden;
        attention.intra = encoder.attention().intra;
        ffn.intermediate = encoder.ffn().intermediate;
      }
      if (has_factors[i]) reader.read(&layer.factors, &attention.hidden, "factor");
      reader.read(&attention);
      ffn.hidden = attention.hidden;
      ffn.intra = attention.intra;
      reader.read(&ffn, static_cast<int>(networks));
    }
    return reader.status();
  }

  // Copies the rows of sequences between [batch, length, hidden] with padding, and the rows that are computed.
  template <class Copy>
  static void for_each_row(const Sequences& sequences, int64_t length, int hidden, Copy copy) {
    for (int i = 0; i < sequences.count; i++)
      for (int64_t position = 0; position < length; position++)
        copy((i * length + position) * hidden,
             position < sequences.length(i) ? (sequences.starts[i] + position) * hidden : int64_t{-1});
  }

  static Status compute(void* memory, OrtKernelContext* context) {
    EncoderNode* node = static_cast<EncoderNode*>(memory);
    const Ort& ort = node->ort;
    const int hidden = node->encoder.attention().hidden;
    Tensor x;
    TRY(ort.input(context, 0, &x));
    if (!x.is(FLOAT, 2) || x.sizes[1] != hidden)
      return ort.fail(Message() << NAME << ": x is " << x << "; expected float [tokens, " << hidden << "]");
    Scores scores;
    TRY(read_scores(ort, context, NAME, x.sizes[0], node->encoder.attention().intra, longest_sequence(INT8), &scores));
    float* y = nullptr;
    TRY(ort.output(context, x.sizes, 2, &y));
    if (!x.sizes[0]) return nullptr;
    int threads = 1;
    TRY(node->find_threads(context, &threads));

    Sequences sequences = scores.sequences(true);
    const bool is_padded = sequences.rows < x.sizes[0];
    const int heads = static_cast<int>(scores.heads);
    const size_t starts_bytes = round_up_to_cache_line((sequences.count + size_t{1}) * sizeof(int));
    const size_t stream_bytes =
        is_padded ? round_up_to_cache_line(static_cast<size_t>(sequences.rows) * hidden * sizeof(float)) : 0;
    EncoderRun run(*node->isa, node->encoder, sequences, scores.mask, heads, threads);
    char* whole = nullptr;
    TRY(scratch_pool.take(ort, starts_bytes + stream_bytes + run.scratch(), &whole));
    int* starts = reinterpret_cast<int*>(whole);
    scores.write_starts(true, starts);
    sequences.starts = starts;
    float* stream = reinterpret_cast<float*>(whole + starts_bytes);
    if (is_padded)
      for_each_row(sequences, scores.length, hidden, [&](int64_t from, int64_t to) {
        if (to >= 0) copy_floats(x.floats() + from, hidden, stream + to);
      });
    run.use(starts, is_padded ? stream : x.floats(), is_padded ? stream : y, whole + starts_bytes + stream_bytes);
    Status status = node->run_phases(context, run.phases(), run.chunks(), run);
    if (!status && is_padded)
      for_each_row(sequences, scores.length, hidden, [&](int64_t to, int64_t from) {
        if (from >= 0)
          copy_floats(stream + from, hidden, y + to);
        else
          for (int i = 0; i < hidden; i++) y[to + i] = 0.0f;
      });
    scratch_pool.give_back(ort, whole);
    return status;
  }

  static void copy_floats(const float* from, int count, float* to) {
    for (int i = 0; i < count; i++) to[i] = from[i];
  }
};

}  // namespace

constexpr OrtCustomOp encoder_op = custom_op<EncoderOp<false>>();
constexpr OrtCustomOp encoder_int8_op = custom_op<EncoderOp<true>>();

}  // namespace mbert
