// The nodes of mbert.BottleneckAttention and mbert.BottleneckAttentionInt8.
#include "blocks/blocks.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "operators/scores.h"
#include "operators/weights.h"
#include "ort/scratch.h"

namespace mbert {

namespace {

struct AttentionNode : Node {
  using Node::Node;
  const char* name = nullptr;
  BottleneckAttention block;
};

// What both precisions share: their code is there once.
struct AnyAttentionOp {
  using NodeType = AttentionNode;
  static constexpr int TYPE = FLOAT;  // of y
  static constexpr size_t FIRST_WEIGHT = 3;

  static void destroy(void* memory) {
    AttentionNode* node = static_cast<AttentionNode*>(memory);
    if (!node) return;
    release(node->ort, &node->block);
    node->destroy();
  }

  static Status read(AttentionNode* node, const OrtKernelInfo* info, size_t count) {
    // Inputs: x, mask, heads; then three weights, of which two have biases, and all have scales in int8.
    const size_t inputs = node->block.is_int8() ? 11 : 8;
    if (count != inputs)
      return node->ort.fail(Message() << node->name << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                      << static_cast<int64_t>(inputs));
    WeightReader reader(node->ort, *node->isa, info, node->block.precision, FIRST_WEIGHT);
    reader.read(&node->block);
    return reader.status();
  }

  // Two phases, projections and attention, whose chunks are rows.
  struct Run {
    const Isa* isa;
    const BottleneckAttention* block;
    const float* x;
    Mask mask;
    float* y;
    int rows, rows_per_chunk;
    BottleneckAttention::Projected projected;
    char* scratch;
    size_t scratch_bytes;

    void compute(int phase, int chunk) const {
      const int first = chunk * rows_per_chunk;
      const int count = rows - first < rows_per_chunk ? rows - first : rows_per_chunk;
      char* own = scratch + chunk * scratch_bytes;
      if (phase == 0)
        block->project(*isa, x + static_cast<size_t>(first) * block->hidden, projected, first, count, own);
      else
        block->attend(*isa, projected, mask, y + static_cast<size_t>(first) * block->intra, first, count, own);
    }
  };

  static Status compute(void* memory, OrtKernelContext* context) {
    AttentionNode* node = static_cast<AttentionNode*>(memory);
    const Ort& ort = node->ort;
    const Isa& isa = *node->isa;
    BottleneckAttention block = node->block;  // a copy: the number of heads is an input of the run
    Tensor x;
    TRY(ort.input(context, 0, &x));
    if (!x.is(FLOAT, 2) || x.sizes[1] != block.hidden)
      return ort.fail(Message() << node->name << ": x is " << x << "; expected float [tokens, " << block.hidden << "]");
    Scores scores;
    TRY(read_scores(ort, context, node->name, x.sizes[0], block.intra, longest_sequence(block.precision), FLOAT,
                    &scores));
    block.heads = static_cast<int>(scores.heads);
    Run run{&isa, &block, x.floats(), scores.mask, nullptr, static_cast<int>(x.sizes[0]), 0, {}, nullptr, 0};
    const int64_t sizes[] = {x.sizes[0], block.intra};
    TRY(ort.output(context, sizes, 2, reinterpret_cast<void**>(&run.y)));
    if (!run.rows) return nullptr;
    TRY(node->task_rows(context, run.rows, most_rows(block.precision), &run.rows_per_chunk));
    const int chunks = (run.rows + run.rows_per_chunk - 1) / run.rows_per_chunk;

    Sequences sequences = scores.sequences(false);
    const size_t starts_bytes = round_up_to_cache_line((sequences.count + size_t{1}) * sizeof(int));
    const uint64_t projected_bytes = round_up_to_cache_line(block.projected_bytes(isa, sequences));
    const size_t project = block.project_scratch(run.rows_per_chunk);
    const size_t attend = block.attend_scratch(isa, sequences, run.rows_per_chunk);
    run.scratch_bytes = project > attend ? project : attend;
    char* whole = nullptr;
    TRY(scratch_pool.take(ort, starts_bytes + projected_bytes + static_cast<uint64_t>(chunks) * run.scratch_bytes, &whole));
    int* starts = reinterpret_cast<int*>(whole);
    scores.write_starts(false, starts);
    sequences.starts = starts;
    run.projected = block.projected(isa, whole + starts_bytes, sequences);
    run.scratch = whole + starts_bytes + projected_bytes;
    Status status = node->run_phases(context, 2, chunks, run);
    scratch_pool.give_back(ort, whole);
    return status;
  }
};

template <Precision PRECISION>
struct AttentionOp : AnyAttentionOp {
  static constexpr const char* NAME =
      PRECISION == Precision::INT8 ? "BottleneckAttentionInt8" : "BottleneckAttention";

  static Status read(AttentionNode* node, const OrtKernelInfo* info, size_t count) {
    node->name = NAME;
    node->block.precision = PRECISION;
    return AnyAttentionOp::read(node, info, count);
  }
};

}  // namespace

constexpr OrtCustomOp bottleneck_attention_op = custom_op<AttentionOp<Precision::FLOAT>>();
constexpr OrtCustomOp bottleneck_attention_int8_op = custom_op<AttentionOp<Precision::INT8>>();

}  // namespace mbert
