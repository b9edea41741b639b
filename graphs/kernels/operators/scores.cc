#include "operators/scores.h"

namespace mbert {

namespace {

// Computes the shape [batch, seq, heads, head size] that ONNX's Reshape of [tokens, intra] to `heads` has: -1 is what
// is left over, 0 copies a size. Returns false where Reshape fails, or a head would cross a token's channels.
bool resolve(const int64_t* heads, int64_t tokens, int64_t intra, int64_t* shape) {
  const int64_t own[] = {tokens, intra};
  int64_t known = 1;
  int open = -1;
  for (int axis = 0; axis < 4; axis++) {
    shape[axis] = heads[axis] == 0 && axis < 2 ? own[axis] : heads[axis];
    if (heads[axis] == -1 && open < 0)
      open = axis;
    else if (heads[axis] < 0 || (axis >= 2 && (heads[axis] == 0 || heads[axis] > intra)) || __builtin_mul_overflow(known, shape[axis], &known))
      return false;
  }
  const int64_t total = tokens * intra;
  if (open < 0 ? known != total : known == 0 || total % known) return false;
  if (open >= 0) shape[open] = total / known;
  return shape[2] * shape[3] == intra && shape[0] * shape[1] == tokens;
}

}  // namespace

int Scores::rows(int sequence, bool skip_padding) const {
  const bool alike = mask.strides[1] == 0 && mask.strides[2] == 0;
  const int all = static_cast<int>(length);
  return skip_padding && alike ? unpadded_length(mask.row(sequence, 0, 0), mask.strides[3], all) : all;
}

Sequences Scores::sequences(bool skip_padding) const {
  Sequences result;
  result.count = static_cast<int>(batch);
  for (int i = 0; i < result.count; i++) {
    const int own = rows(i, skip_padding);
    result.rows += own;
    result.longest = own > result.longest ? own : result.longest;
  }
  return result;
}

void Scores::write_starts(bool skip_padding, int* starts) const {
  starts[0] = 0;
  for (int i = 0; i < batch; i++) starts[i + 1] = starts[i] + rows(i, skip_padding);
}

Status read_scores(const Ort& ort, OrtKernelContext* context, const char* name, int64_t tokens, int intra,
                   int max_length, int mask_type, Scores* scores) {
  Tensor mask, heads;
  TRY(ort.input(context, 1, &mask));
  TRY(ort.input(context, 2, &heads));
  if (!heads.is(INT64, 1) || heads.sizes[0] != 4)
    return ort.fail(Message() << name << ": heads is " << heads << "; expected int64 [4]");
  if (tokens > (1 << 24))
    return ort.fail(Message() << name << ": x has " << tokens << " tokens; expected at most 2^24");
  const int64_t* split = static_cast<const int64_t*>(heads.data);
  int64_t shape[4];
  if (!resolve(split, tokens, intra, shape))
    return ort.fail(Message() << name << ": heads is [" << split[0] << ", " << split[1] << ", " << split[2] << ", "
                              << split[3] << "]; expected the " << tokens << " tokens of x as [batch, seq], and "
                              << "heads that divide " << intra << " channels");
  scores->batch = shape[0];
  scores->length = shape[1];
  scores->heads = shape[2];
  if (scores->length > max_length || scores->batch > (1 << 20))
    return ort.fail(Message() << name << ": heads is for [" << scores->batch << ", " << scores->length
                              << "] tokens; expected at most " << (1 << 20) << " sequences of " << max_length
                              << " tokens");
  const int64_t sizes[] = {scores->batch, scores->heads, scores->length, scores->length};
  if (mask.type != mask_type || !mask.broadcasts_to(sizes, 4, scores->mask.strides))
    return ort.fail(Message() << name << ": mask is " << mask << "; expected "
                              << (mask_type == FLOAT16 ? "float16" : "float") << " [batch, 1, 1, seq], or what else "
                              << "broadcasts to the scores [" << sizes[0] << ", " << sizes[1] << ", " << sizes[2]
                              << ", " << sizes[3] << "]");
  scores->mask.data = mask.floats();
  scores->mask_tensor = mask;
  return nullptr;
}

}  // namespace mbert
