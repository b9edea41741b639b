// The nodes of mbert.Encoder, mbert.EncoderInt8 and mbert.EncoderFloat16.
#include "blocks/encoder.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/scores.h"
#include "operators/weights.h"
#include "ort/scratch.h"

namespace mbert {

namespace {

// A type by a condition.
template <bool CONDITION, class A, class B>
struct Select {
  using Type = A;
};
template <class A, class B>
struct Select<false, A, B> {
  using Type = B;
};

// Numbers of a float16 mask up to this one mean padding: exporters write half of float16's lowest number, or it.
constexpr float LOWEST_HALVES = -3e4f;

struct EncoderNode : Node {
  using Node::Node;
  Encoder encoder;
};

template <Precision PRECISION>
struct EncoderOp {
  using NodeType = EncoderNode;
  static constexpr bool IS_INT8 = PRECISION == Precision::INT8, IS_HALF = PRECISION == Precision::HALF;
  static constexpr const char* NAME = IS_INT8 ? "EncoderInt8" : IS_HALF ? "EncoderFloat16" : "Encoder";
  // The type of x, mask and y.
  static constexpr int TYPE = IS_HALF ? FLOAT16 : FLOAT;
  static constexpr int64_t MAX_LAYERS = 1024;
  // Inputs: x, mask, heads; then, for each layer: its factors, if it has any; the attention's three weights, of which
  // two have biases; two weights and a bias for each network; a last weight. In int8 all weights have scales.
  static constexpr size_t FIRST_WEIGHT = 3, ATTENTION = IS_INT8 ? 8 : 5, NETWORK = IS_INT8 ? 5 : 3, LAST = IS_INT8 ? 2 : 1;

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
    WeightReader reader(ort, *node->isa, info, PRECISION, FIRST_WEIGHT);
    for (int i = 0; i < layers; i++) {
      Layer& layer = encoder.layer[i];
      BottleneckAttention& attention = layer.attention;
      StackedFFN& ffn = layer.ffn;
      attention.precision = ffn.precision = PRECISION;
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

    template <class Element>
    void read(const Element* x, float* stream) const {
      for (int i = 0; i < sequences.count; i++)
        convert(x + i * length * hidden, sequences.length(i), stream + int64_t{sequences.starts[i]} * hidden);
    }

    // Rows of padding become 0.
    template <class Element>
    void write(const float* stream, Element* y) const {
      for (int i = 0; i < sequences.count; i++) {
        const int64_t rows = sequences.length(i);
        convert(stream + int64_t{sequences.starts[i]} * hidden, rows, y + i * length * hidden);
        for (int64_t j = (i * length + rows) * hidden; j < (i + 1) * length * hidden; j++) y[j] = Element{};
      }
    }

    void convert(const float* from, int64_t rows, float* to) const {
      for (int64_t i = 0; i < rows * hidden; i++) to[i] = from[i];
    }
    void convert(const uint16_t* from, int64_t rows, float* to) const { isa.halves_to_floats(from, rows * hidden, to); }
    void convert(const float* from, int64_t rows, uint16_t* to) const { isa.floats_to_halves(from, rows * hidden, to); }
  };

  static Status compute(void* memory, OrtKernelContext* context) {
    EncoderNode* node = static_cast<EncoderNode*>(memory);
    using Element = typename Select<IS_HALF, uint16_t, float>::Type;
    const Ort& ort = node->ort;
    const Isa& isa = *node->isa;
    const int hidden = node->encoder.attention().hidden;
    Tensor x;
    TRY(ort.input(context, 0, &x));
    if (!x.is(TYPE, 2) || x.sizes[1] != hidden)
      return ort.fail(Message() << NAME << ": x is " << x << "; expected " << (IS_HALF ? "float16" : "float")
                                << " [tokens, " << hidden << "]");
    Scores scores;
    TRY(read_scores(ort, context, NAME, x.sizes[0], node->encoder.attention().intra, longest_sequence(PRECISION), TYPE,
                    &scores));
    Element* y = nullptr;
    TRY(ort.output(context, x.sizes, 2, reinterpret_cast<void**>(&y)));
    if (!x.sizes[0]) return nullptr;
    int threads = 1;
    TRY(node->find_threads(context, &threads));

    // The mask in float32 comes first, since it says how many rows there are.
    char* mask_memory = nullptr;
    if (IS_HALF) {
      const Tensor& mask = scores.mask_tensor;
      const size_t count = mask.count();
      TRY(scratch_pool.take(ort, count * sizeof(float), &mask_memory));
      float* widened = reinterpret_cast<float*>(mask_memory);
      isa.halves_to_floats(static_cast<const uint16_t*>(mask.data), count, widened);
      // The lowest numbers of float16 mean padding, as those of float32 do.
      for (size_t i = 0; i < count; i++) widened[i] *= widened[i] <= LOWEST_HALVES ? 1e30f : 1.0f;
      scores.mask.data = widened;
    }
    Status status = run(node, context, scores, static_cast<const Element*>(x.data), y, x.sizes[0], threads);
    if (mask_memory) scratch_pool.give_back(ort, mask_memory);
    return status;
  }

  template <class Element>
  static Status run(const EncoderNode* node, OrtKernelContext* context, const Scores& scores, const Element* x,
                    Element* y, int64_t tokens, int threads) {
    const Ort& ort = node->ort;
    const Isa& isa = *node->isa;
    const int hidden = node->encoder.attention().hidden;
    Sequences sequences = scores.sequences(true);
    // Without padding and conversion, x and y are the rows of the run.
    const bool copies = IS_HALF || sequences.rows < tokens;
    const size_t starts_bytes = round_up_to_cache_line((sequences.count + size_t{1}) * sizeof(int));
    const size_t stream_bytes =
        copies ? round_up_to_cache_line(static_cast<size_t>(sequences.rows) * hidden * sizeof(float)) : 0;
    EncoderRun run(isa, node->encoder, sequences, scores.mask, static_cast<int>(scores.heads), threads);
    char* whole = nullptr;
    TRY(scratch_pool.take(ort, starts_bytes + stream_bytes + run.scratch(), &whole));
    int* starts = reinterpret_cast<int*>(whole);
    scores.write_starts(true, starts);
    sequences.starts = starts;
    const Rows rows{isa, sequences, scores.length, hidden};
    float* stream = reinterpret_cast<float*>(whole + starts_bytes);
    if (copies) rows.read(x, stream);
    char* scratch = whole + starts_bytes + stream_bytes;
    if constexpr (IS_HALF)
      run.use(starts, stream, stream, scratch);
    else
      run.use(starts, copies ? stream : x, copies ? stream : y, scratch);
    Status status = node->run_phases(context, run.phases(), run.chunks(), run);
    if (!status && copies) rows.write(stream, y);
    scratch_pool.give_back(ort, whole);
    return status;
  }
};

}  // namespace

constexpr OrtCustomOp encoder_op = custom_op<EncoderOp<Precision::FLOAT>>();
constexpr OrtCustomOp encoder_int8_op = custom_op<EncoderOp<Precision::INT8>>();
constexpr OrtCustomOp encoder_float16_op = custom_op<EncoderOp<Precision::HALF>>();

}  // namespace mbert
