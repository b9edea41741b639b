// The nodes of mbert.Encoder, mbert.EncoderInt8 and mbert.EncoderFloat16.
#include "blocks/encoder.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/scores.h"
#include "operators/weights.h"
#include "ort/scratch.h"

namespace mbert {

namespace {

// Numbers of a float16 mask up to this one mean padding: exporters write half of float16's lowest number, or it.
constexpr float LOWEST_HALVES = -3e4f;

struct EncoderNode : Node {
  using Node::Node;
  const char* name = nullptr;
  Precision precision = Precision::FLOAT;
  Encoder encoder;

  bool is_half() const { return precision == Precision::HALF; }
  // The type of x, mask and y.
  int type() const { return is_half() ? FLOAT16 : FLOAT; }
};

// What all precisions share: their code is there once.
struct AnyEncoderOp {
  using NodeType = EncoderNode;
  static constexpr int64_t MAX_LAYERS = 1024;
  static constexpr size_t FIRST_WEIGHT = 3;

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
      return ort.fail(Message() << node->name << " has layers = " << layers << " and networks = " << networks
                                << "; expected 1 to " << MAX_LAYERS << " layers of 1 to " << MAX_NETWORKS
                                << " networks");
    int64_t has_factors[MAX_LAYERS];
    TRY(ort.attribute(info, "factors", has_factors, static_cast<size_t>(layers)));
    // Inputs: x, mask, heads; then, for each layer: its factors, if it has any; the attention's three weights, of which
    // two have biases; two weights and a bias for each network; a last weight. In int8 all weights have scales.
    const bool is_int8 = node->precision == Precision::INT8;
    const size_t of_layer = (is_int8 ? 10 : 6) + static_cast<size_t>(networks) * (is_int8 ? 5 : 3);
    size_t expected = FIRST_WEIGHT + static_cast<size_t>(layers) * of_layer;
    for (int i = 0; i < layers; i++) expected += has_factors[i] != 0;
    if (count != expected)
      return ort.fail(Message() << node->name << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                << static_cast<int64_t>(expected) << " for " << layers << " layers of " << networks
                                << " networks");
    Encoder& encoder = node->encoder;
    void* memory = nullptr;
    TRY(ort.allocate(layers * sizeof(Layer), &memory));
    encoder.layer = static_cast<Layer*>(memory);
    encoder.layers = static_cast<int>(layers);
    for (int i = 0; i < layers; i++) new (encoder.layer + i) Layer;
    WeightReader reader(ort, *node->isa, info, node->precision, FIRST_WEIGHT);
    for (int i = 0; i < layers; i++) {
      Layer& layer = encoder.layer[i];
      BottleneckAttention& attention = layer.attention;
      StackedFFN& ffn = layer.ffn;
      attention.precision = ffn.precision = node->precision;
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

  // The rows of x and y as tensors have them, [batch, length, hidden] with padding, and as the run computes them: without
  // padding, in float32.
  struct Rows {
    const Isa& isa;
    const Sequences& sequences;
    int64_t length;
    int hidden;
    bool is_half;

    void read(const void* x, float* stream) const {
      for (int i = 0; i < sequences.count; i++) {
        const int64_t first = i * length * hidden;
        const size_t count = static_cast<size_t>(sequences.length(i)) * hidden;
        float* to = stream + int64_t{sequences.starts[i]} * hidden;
        if (is_half)
          isa.halves_to_floats(static_cast<const uint16_t*>(x) + first, count, to);
        else
          __builtin_memcpy(to, static_cast<const float*>(x) + first, count * sizeof(float));
      }
    }

    // Rows of padding become 0.
    void write(const float* stream, void* y) const {
      const size_t bytes = is_half ? sizeof(uint16_t) : sizeof(float);
      for (int i = 0; i < sequences.count; i++) {
        const size_t count = static_cast<size_t>(sequences.length(i)) * hidden;
        const float* from = stream + int64_t{sequences.starts[i]} * hidden;
        char* to = static_cast<char*>(y) + i * length * hidden * bytes;
        if (is_half)
          isa.floats_to_halves(from, count, reinterpret_cast<uint16_t*>(to));
        else
          __builtin_memcpy(to, from, count * bytes);
        __builtin_memset(to + count * bytes, 0, (static_cast<size_t>(length) * hidden - count) * bytes);
      }
    }
  };

  static Status compute(void* memory, OrtKernelContext* context) {
    EncoderNode* node = static_cast<EncoderNode*>(memory);
    const Ort& ort = node->ort;
    const Isa& isa = *node->isa;
    const int hidden = node->encoder.attention().hidden, type = node->type();
    Tensor x;
    TRY(ort.input(context, 0, &x));
    if (!x.is(type, 2) || x.sizes[1] != hidden)
      return ort.fail(Message() << node->name << ": x is " << x << "; expected "
                                << (node->is_half() ? "float16" : "float") << " [tokens, " << hidden << "]");
    Scores scores;
    TRY(read_scores(ort, context, node->name, x.sizes[0], node->encoder.attention().intra,
                    longest_sequence(node->precision), type, &scores));
    void* y = nullptr;
    TRY(ort.output(context, x.sizes, 2, &y));
    if (!x.sizes[0]) return nullptr;
    int threads = 1;
    TRY(node->find_threads(context, &threads));

    // The mask in float32 comes first, since it says how many rows there are.
    char* mask_memory = nullptr;
    if (node->is_half()) {
      const Tensor& mask = scores.mask_tensor;
      const size_t count = mask.count();
      TRY(scratch_pool.take(ort, count * sizeof(float), &mask_memory));
      float* widened = reinterpret_cast<float*>(mask_memory);
      isa.halves_to_floats(static_cast<const uint16_t*>(mask.data), count, widened);
      // The lowest numbers of float16 mean padding, as those of float32 do.
      for (size_t i = 0; i < count; i++) widened[i] *= widened[i] <= LOWEST_HALVES ? 1e30f : 1.0f;
      scores.mask.data = widened;
    }
    Status status = run(node, context, scores, x.data, y, x.sizes[0], threads);
    if (mask_memory) scratch_pool.give_back(ort, mask_memory);
    return status;
  }

  static Status run(const EncoderNode* node, OrtKernelContext* context, const Scores& scores, const void* x, void* y,
                    int64_t tokens, int threads) {
    const Ort& ort = node->ort;
    const Isa& isa = *node->isa;
    const int hidden = node->encoder.attention().hidden;
    Sequences sequences = scores.sequences(true);
    // Without padding and conversion, x and y are the rows of the run.
    const bool copies = node->is_half() || sequences.rows < tokens;
    const size_t starts_bytes = round_up_to_cache_line((sequences.count + size_t{1}) * sizeof(int));
    const uint64_t stream_bytes =
        copies ? round_up_to_cache_line(static_cast<uint64_t>(sequences.rows) * hidden * sizeof(float)) : 0;
    EncoderRun run(isa, node->encoder, sequences, scores.mask, static_cast<int>(scores.heads), threads);
    char* whole = nullptr;
    TRY(scratch_pool.take(ort, starts_bytes + stream_bytes + run.scratch(), &whole));
    int* starts = reinterpret_cast<int*>(whole);
    scores.write_starts(true, starts);
    sequences.starts = starts;
    const Rows rows{isa, sequences, scores.length, hidden, node->is_half()};
    float* stream = reinterpret_cast<float*>(whole + starts_bytes);
    if (copies) rows.read(x, stream);
    run.use(starts, copies ? stream : static_cast<const float*>(x), copies ? stream : static_cast<float*>(y),
            whole + starts_bytes + stream_bytes);
    Status status = node->run_phases(context, run.phases(), run.chunks(), run);
    if (!status && copies) rows.write(stream, y);
    scratch_pool.give_back(ort, whole);
    return status;
  }
};

template <Precision PRECISION>
struct EncoderOp : AnyEncoderOp {
  static constexpr bool IS_INT8 = PRECISION == Precision::INT8, IS_HALF = PRECISION == Precision::HALF;
  static constexpr const char* NAME = IS_INT8 ? "EncoderInt8" : IS_HALF ? "EncoderFloat16" : "Encoder";
  static constexpr int TYPE = IS_HALF ? FLOAT16 : FLOAT;

  static Status read(EncoderNode* node, const OrtKernelInfo* info, size_t count) {
    node->name = NAME;
    node->precision = PRECISION;
    return AnyEncoderOp::read(node, info, count);
  }
};

}  // namespace

constexpr OrtCustomOp encoder_op = custom_op<EncoderOp<Precision::FLOAT>>();
constexpr OrtCustomOp encoder_int8_op = custom_op<EncoderOp<Precision::INT8>>();
constexpr OrtCustomOp encoder_float16_op = custom_op<EncoderOp<Precision::HALF>>();

}  // namespace mbert
