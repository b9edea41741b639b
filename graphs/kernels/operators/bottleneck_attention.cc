// The nodes of mbert.BottleneckAttention and mbert.BottleneckAttentionInt8.
#include "blocks/blocks.h"
#include "operators/node.h"
#include "operators/nodes.h"
#include "ort/scratch.h"
#include "operators/weights.h"

namespace mbert {

namespace {

struct AttentionNode : Node {
  using Node::Node;
  BottleneckAttention block;
};

template <bool INT8>
struct AttentionOp {
  using NodeType = AttentionNode;
  static constexpr const char* NAME = INT8 ? "BottleneckAttentionInt8" : "BottleneckAttention";
  // Inputs: x, mask, heads; then three weights, of which two have biases, and all have scales in int8.
  static constexpr size_t FIRST_WEIGHT = 3, INPUTS = INT8 ? 11 : 8;
  // In 8 bits, the sum of as many products of bytes fits 32 bits.
  static constexpr int MAX_LENGTH = 1 << (INT8 ? 16 : 20);

  static void destroy(void* memory) {
    AttentionNode* node = static_cast<AttentionNode*>(memory);
    if (!node) return;
    const Ort& ort = node->ort;
    release(ort, &node->block.weight_in);
    release(ort, &node->block.weight_qk);
    release(ort, &node->block.weight_out);
    node->destroy();
  }

  static Status read(AttentionNode* node, const OrtKernelInfo* info, size_t count) {
    if (count != INPUTS)
      return node->ort.fail(Message() << NAME << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                      << static_cast<int64_t>(INPUTS));
    BottleneckAttention& block = node->block;
    block.int8 = INT8;
    WeightReader reader(node->ort, *node->isa, info, INT8, FIRST_WEIGHT);
    int columns_in = 0;
    reader.read(&block.weight_in, &block.hidden, &columns_in, true, "weight_in");
    if (columns_in % 3)
      reader.refuse(Message() << "weight_in has " << columns_in << " columns; expected a multiple of 3");
    block.intra = columns_in / 3;
    int columns_qk = 2 * block.intra;
    reader.read(&block.weight_qk, &block.intra, &columns_qk, true, "weight_qk");
    reader.read(&block.weight_out, &block.intra, &block.intra, false, "weight_out");
    return reader.status();
  }

  // One parallel region of two kinds of tasks: projections, then attentions. Threads take tasks in this order from a
  // counter, whatever task numbers onnxruntime passes, so an attention waits only for projections that other threads
  // are already computing.
  struct Run {
    const Isa* isa;
    const BottleneckAttention* block;
    const float* x;
    Mask mask;
    float* y;
    int64_t rows;
    int length;
    int rows_per_projection;
    int attentions_per_sequence;
    int rows_per_attention;
    int projections;  // tasks
    BottleneckAttention::Projected projected;
    char* scratch;
    size_t scratch_bytes;
    int taken, done;  // tasks taken; projections finished
  };

  static int smaller(int64_t a, int64_t b) { return static_cast<int>(a < b ? a : b); }

  static void project(const Run& run, int number) {
    const int64_t first = static_cast<int64_t>(number) * run.rows_per_projection;
    run.block->project(*run.isa, run.x + first * run.block->hidden, run.projected, static_cast<int>(first),
                       smaller(run.rows_per_projection, run.rows - first), run.scratch + number * run.scratch_bytes);
  }

  static void attend(const Run& run, int number) {
    const int sequence = number / run.attentions_per_sequence;
    const int first = number % run.attentions_per_sequence * run.rows_per_attention;
    const int64_t token = static_cast<int64_t>(sequence) * run.length + first;
    run.block->attend(*run.isa, run.projected, run.mask, sequence, run.y + token * run.block->intra, first,
                      smaller(run.rows_per_attention, run.length - first), run.scratch + number * run.scratch_bytes);
  }

  static void task(void* data, size_t) {
    Run& run = *static_cast<Run*>(data);
    const int number = __atomic_fetch_add(&run.taken, 1, __ATOMIC_RELAXED);
    if (number < run.projections) {
      project(run, number);
      __atomic_add_fetch(&run.done, 1, __ATOMIC_RELEASE);
      return;
    }
    while (__atomic_load_n(&run.done, __ATOMIC_ACQUIRE) < run.projections) pause_spinning();
    attend(run, number - run.projections);
  }

  // Computes the shape [batch, seq, heads, head size] that ONNX's Reshape of [tokens, intra] to `heads` has: -1 is what
  // is left over, 0 copies a size. Returns false where Reshape fails, or a head would cross a token's channels.
  static bool resolve(const int64_t* heads, int64_t tokens, int64_t intra, int64_t* shape) {
    const int64_t own[] = {tokens, intra};
    int64_t known = 1;
    int open = -1;
    for (int axis = 0; axis < 4; axis++) {
      shape[axis] = heads[axis] == 0 && axis < 2 ? own[axis] : heads[axis];
      if (heads[axis] == -1 && open < 0)
        open = axis;
      else if (heads[axis] < 0 || (heads[axis] == 0 && axis >= 2) ||
               __builtin_mul_overflow(known, shape[axis], &known))
        return false;
    }
    const int64_t total = tokens * intra;
    if (open < 0 ? known != total : known == 0 || total % known) return false;
    if (open >= 0) shape[open] = total / known;
    return shape[2] * shape[3] == intra && shape[0] * shape[1] == tokens;
  }

  static Status compute(void* memory, OrtKernelContext* context) {
    AttentionNode* node = static_cast<AttentionNode*>(memory);
    const Ort& ort = node->ort;
    BottleneckAttention block = node->block;  // a copy: the number of heads is an input of the run
    Tensor x, mask, heads;
    TRY(ort.input(context, 0, &x));
    TRY(ort.input(context, 1, &mask));
    TRY(ort.input(context, 2, &heads));
    if (!x.is(FLOAT, 2) || x.sizes[1] != block.hidden)
      return ort.fail(Message() << NAME << ": x is " << x << "; expected float [tokens, " << block.hidden << "]");
    if (!heads.is(INT64, 1) || heads.sizes[0] != 4)
      return ort.fail(Message() << NAME << ": heads is " << heads << "; expected int64 [4]");
    if (x.sizes[0] > (1 << 24))
      return ort.fail(Message() << NAME << ": x is " << x << "; expected at most 2^24 tokens");
    const int64_t* split = static_cast<const int64_t*>(heads.data);
    int64_t shape[4];
    if (!resolve(split, x.sizes[0], block.intra, shape))
      return ort.fail(Message() << NAME << ": heads is [" << split[0] << ", " << split[1] << ", " << split[2] << ", "
                                << split[3] << "]; expected the " << x.sizes[0] << " tokens of x as [batch, seq], and "
                                << "heads that divide " << block.intra << " channels");
    block.heads = static_cast<int>(shape[2]);
    const int64_t batch = shape[0], length = shape[1];
    if (length > MAX_LENGTH || batch > (1 << 20))
      return ort.fail(Message() << NAME << ": heads is for [" << batch << ", " << length << "] tokens; expected at "
                                << "most " << (1 << 20) << " sequences of " << MAX_LENGTH << " tokens");
    Run run{};
    const int64_t scores[] = {batch, shape[2], length, length};
    if (mask.type != FLOAT || !mask.broadcasts_to(scores, 4, run.mask.strides))
      return ort.fail(Message() << NAME << ": mask is " << mask << "; expected float [batch, 1, 1, seq], or what else "
                                << "broadcasts to the scores [" << batch << ", " << shape[2] << ", " << length << ", "
                                << length << "]");
    const Isa& isa = *node->isa;
    run.isa = &isa;
    run.block = &block;
    run.x = x.floats();
    run.mask.data = mask.floats();
    run.rows = x.sizes[0];
    run.length = static_cast<int>(length);
    const int64_t sizes[] = {run.rows, block.intra};
    TRY(ort.output(context, sizes, 2, &run.y));
    if (!run.rows) return nullptr;
    TRY(node->task_rows(context, run.rows, INT8 ? BLOCK_ROWS_INT8 : BLOCK_ROWS_FLOAT, &run.rows_per_projection));
    run.rows_per_attention = smaller(run.rows_per_projection, length);
    run.attentions_per_sequence = (run.length + run.rows_per_attention - 1) / run.rows_per_attention;
    run.projections = static_cast<int>((run.rows + run.rows_per_projection - 1) / run.rows_per_projection);
    const size_t attentions = static_cast<size_t>(batch) * run.attentions_per_sequence;
    const size_t projected_bytes =
        round_up_to_cache_line(block.projected_bytes(isa, static_cast<int>(batch), run.length));
    const size_t first = block.project_scratch(run.rows_per_projection);
    const size_t second = block.attend_scratch(isa, run.length, run.rows_per_attention);
    run.scratch_bytes = first > second ? first : second;
    const size_t most = attentions > static_cast<size_t>(run.projections) ? attentions : run.projections;
    char* whole = nullptr;
    TRY(scratch_pool.take(ort, projected_bytes + most * run.scratch_bytes, &whole));
    run.projected = block.projected(isa, whole, static_cast<int>(batch), run.length);
    run.scratch = whole + projected_bytes;
    Status status = node->parallel(context, task, run.projections + attentions, &run);
    scratch_pool.give_back(ort, whole);
    return status;
  }
};

}  // namespace

constexpr OrtCustomOp bottleneck_attention_op = custom_op<AttentionOp<false>>();
constexpr OrtCustomOp bottleneck_attention_int8_op = custom_op<AttentionOp<true>>();

}  // namespace mbert
