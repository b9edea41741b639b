// The nodes of mbert.StackedFFN and mbert.StackedFFNInt8.
#include "blocks/blocks.h"
#include "operators/node.h"
#include "operators/nodes/nodes.h"
#include "ort/scratch.h"
#include "operators/weights.h"

namespace mbert {

namespace {

struct FfnNode : Node {
  using Node::Node;
  const char* name = nullptr;
  StackedFFN block;
};

// What both precisions share: their code is there once.
struct AnyFfnOp {
  using NodeType = FfnNode;
  static constexpr int TYPE = FLOAT;  // of y
  static constexpr size_t FIRST_WEIGHT = 2;

  static void destroy(void* memory) {
    FfnNode* node = static_cast<FfnNode*>(memory);
    if (!node) return;
    release(node->ort, &node->block);
    node->destroy();
  }

  static Status read(FfnNode* node, const OrtKernelInfo* info, size_t count) {
    StackedFFN& block = node->block;
    // Inputs: x and residual; two weights and a bias for each network; the last weight. In int8 all weights have scales.
    const bool is_int8 = block.precision == Precision::INT8;
    const size_t per_network = is_int8 ? 5 : 3, others = FIRST_WEIGHT + (is_int8 ? 2 : 1);
    const size_t networks = count < others ? 0 : (count - others) / per_network;
    if (networks < 1 || networks > MAX_NETWORKS || others + networks * per_network != count)
      return node->ort.fail(Message() << node->name << " has " << static_cast<int64_t>(count) << " inputs; expected "
                                      << static_cast<int64_t>(others) << " and " << static_cast<int64_t>(per_network)
                                      << " for each of 1 to " << MAX_NETWORKS << " networks");
    WeightReader reader(node->ort, *node->isa, info, block.precision, FIRST_WEIGHT);
    reader.read(&block, static_cast<int>(networks));
    return reader.status();
  }

  struct Run {
    const FfnNode* node;
    const float *x, *residual;
    int64_t residual_strides[2];  // 0 where all rows, or all channels, have the same number
    float* y;
    int64_t rows;
    int rows_per_task;
    char* scratch;
    size_t scratch_bytes;
  };

  static void task(void* data, size_t number) {
    const Run& run = *static_cast<const Run*>(data);
    const StackedFFN& block = run.node->block;
    const int64_t first = static_cast<int64_t>(number) * run.rows_per_task;
    const int64_t rows = run.rows - first < run.rows_per_task ? run.rows - first : run.rows_per_task;
    float* y = run.y + first * block.hidden;
    const float* residual = y;
    if (run.residual_strides[0] == block.hidden && run.residual_strides[1] == 1) {
      residual = run.residual + first * block.hidden;
    } else {  // written out to y, from which the last product reads each number before it replaces it
      for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < block.hidden; column++)
          y[row * block.hidden + column] =
              run.residual[(first + row) * run.residual_strides[0] + column * run.residual_strides[1]];
    }
    block.run(*run.node->isa, run.x + first * block.intra, residual, y, static_cast<int>(rows),
              run.scratch + number * run.scratch_bytes);
  }

  static Status compute(void* memory, OrtKernelContext* context) {
    FfnNode* node = static_cast<FfnNode*>(memory);
    const StackedFFN& block = node->block;
    const Ort& ort = node->ort;
    Tensor x, residual;
    TRY(ort.input(context, 0, &x));
    TRY(ort.input(context, 1, &residual));
    if (!x.is(FLOAT, 2) || x.sizes[1] != block.intra)
      return ort.fail(Message() << node->name << ": x is " << x << "; expected float [tokens, " << block.intra << "]");
    Run run{};
    const int64_t sizes[] = {x.sizes[0], block.hidden};
    if (residual.type != FLOAT || !residual.broadcasts_to(sizes, 2, run.residual_strides))
      return ort.fail(Message() << node->name << ": residual is " << residual << "; expected float [" << x.sizes[0] << ", "
                                << block.hidden << "], or what broadcasts to it");
    run.node = node;
    run.x = x.floats();
    run.residual = residual.floats();
    run.rows = x.sizes[0];
    TRY(ort.output(context, sizes, 2, reinterpret_cast<void**>(&run.y)));
    if (!run.rows) return nullptr;
    TRY(node->task_rows(context, run.rows, most_rows(block.precision), &run.rows_per_task));
    run.scratch_bytes = block.scratch(run.rows_per_task);
    const size_t tasks = static_cast<size_t>((run.rows + run.rows_per_task - 1) / run.rows_per_task);
    TRY(scratch_pool.take(ort, static_cast<uint64_t>(tasks) * run.scratch_bytes, &run.scratch));
    Status status = node->parallel(context, task, tasks, &run);
    scratch_pool.give_back(ort, run.scratch);
    return status;
  }
};

template <Precision PRECISION>
struct FfnOp : AnyFfnOp {
  static constexpr const char* NAME = PRECISION == Precision::INT8 ? "StackedFFNInt8" : "StackedFFN";

  static Status read(FfnNode* node, const OrtKernelInfo* info, size_t count) {
    node->name = NAME;
    node->block.precision = PRECISION;
    return AnyFfnOp::read(node, info, count);
  }
};

}  // namespace

constexpr OrtCustomOp stacked_ffn_op = custom_op<FfnOp<Precision::FLOAT>>();
constexpr OrtCustomOp stacked_ffn_int8_op = custom_op<FfnOp<Precision::INT8>>();

}  // namespace mbert
