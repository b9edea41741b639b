#include "standalone/operators/standard/movement.h"

#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

// Copies a box of elements, with strides in elements on both sides. Sizes of 0 copy nothing.
void copy_box(const char* from, const int64_t* from_strides, char* to, const int64_t* to_strides, const int64_t* sizes,
              int rank, size_t element) {
  if (rank == 0) {
    __builtin_memcpy(to, from, element);
    return;
  }
  const int64_t bytes = static_cast<int64_t>(element);
  if (rank == 1) {
    if (from_strides[0] == 1 && to_strides[0] == 1) {
      if (sizes[0]) __builtin_memcpy(to, from, static_cast<size_t>(sizes[0]) * element);
      return;
    }
    // Most elements have 4 bytes, which the compiler copies without a call.
    for (int64_t i = 0; element == 4 && i < sizes[0]; i++)
      __builtin_memcpy(to + 4 * i * to_strides[0], from + 4 * i * from_strides[0], 4);
    if (element == 4) return;
  }
  for (int64_t i = 0; i < sizes[0]; i++)
    copy_box(from + i * from_strides[0] * bytes, from_strides + 1, to + i * to_strides[0] * bytes, to_strides + 1,
             sizes + 1, rank - 1, element);
}

// The elements from one index to the next of each axis of a tensor without gaps.
void strides_of(const int64_t* sizes, int rank, int64_t* strides) {
  int64_t stride = 1;
  for (int axis = rank - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= sizes[axis] ? sizes[axis] : 1;
  }
}

int64_t product(const int64_t* sizes, int from, int to) {
  int64_t result = 1;
  for (int axis = from; axis < to; axis++) result *= sizes[axis];
  return result;
}

// Makes an output of numbers of a tensor: of those from `first` on, with strides in elements.
Status copy_to_output(NodeRun& node, int index, const Tensor& from, int64_t first, const int64_t* strides,
                      const int64_t* sizes) {
  int64_t own[MAX_RANK];
  void* data = nullptr;
  TRY(node.output(index, from.type, sizes, from.rank, &data));
  if (!data || !product(sizes, 0, from.rank)) return nullptr;
  const size_t element = element_bytes(from.type);
  strides_of(sizes, from.rank, own);
  copy_box(static_cast<const char*>(from.data) + static_cast<size_t>(first) * element, strides, static_cast<char*>(data),
           own, sizes, from.rank, element);
  return nullptr;
}

int64_t clip(int64_t number, int64_t least, int64_t most) {
  return number < least ? least : number > most ? most : number;
}

// Reads an input that lists axes, and marks each. Without the input, none is marked.
Status read_axes(const NodeRun& node, int index, int rank, bool* is_marked) {
  int64_t axes[MAX_RANK];
  int count = 0;
  for (int axis = 0; axis < rank; axis++) is_marked[axis] = false;
  if (!node.has(index)) return nullptr;
  TRY(load_list(node.input(index), "the list of axes", axes, MAX_RANK, &count));
  for (int i = 0; i < count; i++) {
    int axis = 0;
    TRY(resolve_axis(axes[i], rank, &axis));
    if (is_marked[axis]) return fail(failure() << "the axis " << axes[i] << " is listed twice; expected once");
    is_marked[axis] = true;
  }
  return nullptr;
}

Status share_input(NodeRun& node, const int64_t* sizes, int rank) {
  return node.share(0, node.input(0), node.node.inputs[0], sizes, rank);
}

}  // namespace

Status resolve_axis(int64_t axis, int rank, int* resolved) {
  if (axis < -rank || axis >= rank)
    return fail(failure() << "the axis is " << axis << "; expected one of a tensor with " << rank << " axes");
  *resolved = static_cast<int>(axis < 0 ? axis + rank : axis);
  return nullptr;
}

Status run_shape(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const auto place = [&](int64_t axis) {
    return static_cast<int>(clip(axis < 0 ? clip(axis, -MAX_RANK, 0) + tensor.rank : axis, 0, tensor.rank));
  };
  const int start = place(node.node.attributes[0]), end = place(node.node.attributes[1]);
  const int64_t count = end > start ? end - start : 0;
  void* data = nullptr;
  TRY(node.output(0, INT64, &count, 1, &data));
  for (int64_t i = 0; data && i < count; i++) static_cast<int64_t*>(data)[i] = tensor.sizes[start + i];
  return nullptr;
}

Status run_reshape(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const bool allows_zero = node.node.attributes[0] != 0;
  int64_t sizes[MAX_RANK];
  int rank = 0, open = -1;
  TRY(load_list(node.input(1), "the shape", sizes, MAX_RANK, &rank));
  int64_t known = 1;
  bool is_valid = true;
  for (int axis = 0; axis < rank; axis++) {
    if (sizes[axis] == 0 && !allows_zero && axis < tensor.rank) sizes[axis] = tensor.sizes[axis];
    if (sizes[axis] == -1 && open < 0) {
      open = axis;
      sizes[axis] = 1;
    } else if (sizes[axis] < 0 || sizes[axis] > MAX_ELEMENTS || __builtin_mul_overflow(known, sizes[axis], &known)) {
      is_valid = false;
      break;
    }
  }
  const int64_t count = static_cast<int64_t>(tensor.count());
  if (is_valid && open >= 0 && known) sizes[open] = count / known;
  if (!is_valid || !are_sizes(sizes, rank) || product(sizes, 0, rank) != count)
    return fail(failure() << "its input is " << tensor << "; expected as many numbers as the shape says, which has "
                          << rank << " axes");
  return share_input(node, sizes, rank);
}

Status run_squeeze(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  bool is_removed[MAX_RANK];
  TRY(read_axes(node, 1, tensor.rank, is_removed));
  int64_t sizes[MAX_RANK];
  int rank = 0;
  for (int axis = 0; axis < tensor.rank; axis++) {
    if (!node.has(1)) is_removed[axis] = tensor.sizes[axis] == 1;
    if (is_removed[axis] && tensor.sizes[axis] != 1)
      return fail(failure() << "its input is " << tensor << "; expected size 1 at axis " << axis);
    if (!is_removed[axis]) sizes[rank++] = tensor.sizes[axis];
  }
  return share_input(node, sizes, rank);
}

Status run_unsqueeze(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const int64_t added = static_cast<int64_t>(node.input(1).count());
  if (added + tensor.rank > MAX_RANK)
    return fail(failure() << "its output has " << added + tensor.rank << " axes; expected at most " << MAX_RANK);
  const int rank = tensor.rank + static_cast<int>(added);
  bool is_added[MAX_RANK];
  TRY(read_axes(node, 1, rank, is_added));
  int64_t sizes[MAX_RANK];
  for (int axis = 0, own = 0; axis < rank; axis++) sizes[axis] = is_added[axis] ? 1 : tensor.sizes[own++];
  return share_input(node, sizes, rank);
}

Status run_identity(NodeRun& node) { return share_input(node, node.input(0).sizes, node.input(0).rank); }

Status run_concat(NodeRun& node) {
  const Tensor& first = node.input(0);
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], first.rank, &axis));
  int64_t sizes[MAX_RANK];
  for (int i = 0; i < first.rank; i++) sizes[i] = first.sizes[i];
  for (int i = 1; i < node.node.input_count; i++) {
    const Tensor& one = node.input(i);
    bool fits = one.rank == first.rank;
    for (int j = 0; fits && j < first.rank; j++) fits = j == axis || one.sizes[j] == first.sizes[j];
    if (!fits)
      return fail(failure() << "its inputs are " << first << " and " << one << "; expected equal sizes beside axis " << axis);
    sizes[axis] += one.sizes[axis];
  }
  void* data = nullptr;
  TRY(node.output(0, first.type, sizes, first.rank, &data));
  if (!data) return nullptr;
  const size_t element = element_bytes(first.type);
  const int64_t outer = product(sizes, 0, axis), inner = product(sizes, axis + 1, first.rank);
  const size_t row = static_cast<size_t>(sizes[axis] * inner) * element;
  char* to = static_cast<char*>(data);
  for (int i = 0; i < node.node.input_count; i++) {
    const Tensor& one = node.input(i);
    const size_t bytes = static_cast<size_t>(one.sizes[axis] * inner) * element;
    const char* from = static_cast<const char*>(one.data);
    for (int64_t j = 0; j < outer && bytes; j++, from += bytes) __builtin_memcpy(to + static_cast<size_t>(j) * row, from, bytes);
    to += bytes;
  }
  return nullptr;
}

Status run_gather(NodeRun& node) {
  const Tensor &tensor = node.input(0), &indices = node.input(1);
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  const int rank = tensor.rank - 1 + indices.rank;
  if (rank > MAX_RANK) return fail(failure() << "its output has " << rank << " axes; expected at most " << MAX_RANK);
  int64_t sizes[MAX_RANK];
  for (int i = 0; i < rank; i++)
    sizes[i] = i < axis                  ? tensor.sizes[i]
               : i < axis + indices.rank ? indices.sizes[i - axis]
                                         : tensor.sizes[i - indices.rank + 1];
  void* data = nullptr;
  TRY(node.output(0, tensor.type, sizes, rank, &data));
  if (!data || !product(sizes, 0, rank)) return nullptr;
  const int64_t outer = product(tensor.sizes, 0, axis), inner = product(tensor.sizes, axis + 1, tensor.rank);
  const int64_t size = tensor.sizes[axis], count = static_cast<int64_t>(indices.count());
  const size_t bytes = static_cast<size_t>(inner) * element_bytes(tensor.type);
  char* to = static_cast<char*>(data);
  Strip strip;
  for (int64_t i = 0; i < outer; i++)
    for (int64_t j = 0; j < count; j++, to += bytes) {
      const int64_t place = j % STRIP;
      if (!place) load_numbers(indices.type, indices.data, static_cast<size_t>(j), 1, static_cast<int>(clip(count - j, 0, STRIP)), &strip);
      const int64_t given = strip.integers[place], index = given < 0 ? given + size : given;
      if (index < 0 || index >= size)
        return fail(failure() << "an index is out of data bounds, " << given << "; expected " << -size << " to " << size - 1);
      __builtin_memcpy(to, static_cast<const char*>(tensor.data) + static_cast<size_t>(i * size + index) * bytes, bytes);
    }
  return nullptr;
}

Status run_slice(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t lists[4][MAX_RANK];  // starts, ends, axes, steps
  int count = 0;
  for (int i = 0; i < 4; i++) {
    int length = 0;
    if (!node.has(i + 1)) continue;
    TRY(load_list(node.input(i + 1), "a list of the slice", lists[i], MAX_RANK, &length));
    if (i && length != count)
      return fail(failure() << "its lists have " << count << " and " << length << " numbers; expected as many in each");
    count = length;
  }
  int64_t sizes[MAX_RANK], strides[MAX_RANK], begin = 0;
  strides_of(tensor.sizes, tensor.rank, strides);
  for (int axis = 0; axis < tensor.rank; axis++) sizes[axis] = tensor.sizes[axis];
  for (int i = 0; i < count; i++) {
    int axis = 0;
    TRY(resolve_axis(node.has(3) ? lists[2][i] : i, tensor.rank, &axis));
    const int64_t size = tensor.sizes[axis];
    if ((node.has(4) && lists[3][i] != 1) || sizes[axis] != size)
      return fail(failure() << "axis " << axis << " is listed twice, or has another step than 1" << ADVICE);
    // Negative numbers count from the end; numbers that are out of range are clipped.
    const auto place = [&](int64_t number) {
      return clip(number < 0 ? clip(number, -MAX_ELEMENTS, 0) + size : number, 0, size);
    };
    const int64_t start = place(lists[0][i]), end = place(lists[1][i]);
    sizes[axis] = end > start ? end - start : 0;
    begin += start * strides[axis];
  }
  return copy_to_output(node, 0, tensor, begin, strides, sizes);
}

Status run_pad(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int64_t pads[2 * MAX_RANK], sizes[MAX_RANK], own[MAX_RANK], strides[MAX_RANK], begin = 0;
  int count = 0;
  TRY(load_list(node.input(1), "the list of paddings", pads, 2 * MAX_RANK, &count));
  if (count != 2 * tensor.rank)
    return fail(failure() << "there are " << count << " paddings; expected two for each axis of " << tensor);
  if (node.has(2) && node.input(2).count() != 1)
    return fail(failure() << "the number for padding is " << node.input(2) << "; expected one number");
  for (int axis = 0; axis < tensor.rank; axis++) {
    const int64_t before = pads[axis], after = pads[axis + tensor.rank];
    if (before < 0 || after < 0 || before > MAX_ELEMENTS || after > MAX_ELEMENTS)
      return fail(failure() << "a padding is " << (before < 0 ? before : after) << "; expected 0 to " << MAX_ELEMENTS);
    sizes[axis] = tensor.sizes[axis] + before + after;
  }
  void* data = nullptr;
  TRY(node.output(0, tensor.type, sizes, tensor.rank, &data));
  if (!data) return nullptr;
  const size_t element = element_bytes(tensor.type), total = static_cast<size_t>(product(sizes, 0, tensor.rank));
  const int type = bits_type(tensor.type);
  Strip filling;
  for (int64_t& number : filling.integers) number = 0;
  if (node.has(2)) load_numbers(type, node.input(2).data, 0, 0, STRIP, &filling);
  for (size_t i = 0; i < total; i += STRIP)
    store_numbers(type, &filling, static_cast<int>(total - i < STRIP ? total - i : STRIP), data, i);
  if (!tensor.count()) return nullptr;
  strides_of(sizes, tensor.rank, own);
  strides_of(tensor.sizes, tensor.rank, strides);
  for (int axis = 0; axis < tensor.rank; axis++) begin += pads[axis] * own[axis];
  copy_box(static_cast<const char*>(tensor.data), strides, static_cast<char*>(data) + static_cast<size_t>(begin) * element, own,
           tensor.sizes, tensor.rank, element);
  return nullptr;
}

void transpose_elements(const void* from, size_t rows, size_t columns, size_t element, void* to) {
  const int64_t sizes[] = {static_cast<int64_t>(rows), static_cast<int64_t>(columns)};
  const int64_t from_strides[] = {sizes[1], 1}, to_strides[] = {1, sizes[0]};
  copy_box(static_cast<const char*>(from), from_strides, static_cast<char*>(to), to_strides, sizes, 2, element);
}

Status run_transpose(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const int rank = tensor.rank, given = node.node.list_count;
  int64_t sizes[MAX_RANK], strides[MAX_RANK], moved[MAX_RANK];
  uint32_t taken = 0;  // a bit for each axis
  strides_of(tensor.sizes, rank, strides);
  for (int i = 0; i < rank; i++) {
    const int64_t axis = given < 0 ? rank - 1 - i : given == rank ? node.node.list[i] : -1;
    if (axis < 0 || axis >= rank || taken >> axis & 1)
      return fail(failure() << "its input is " << tensor << "; expected perm to have each of its axes once");
    taken |= 1u << axis;
    sizes[i] = tensor.sizes[axis];
    moved[i] = strides[axis];
  }
  return copy_to_output(node, 0, tensor, 0, moved, sizes);
}

Status run_split(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const int64_t count = node.node.output_count;
  NumberArray sizes;
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  const bool is_given = node.has(1);
  if (is_given) TRY(sizes.load(node.input(1)));
  int64_t strides[MAX_RANK], first = 0, left = tensor.sizes[axis];
  bool fits = is_given ? node.input(1).count() == static_cast<size_t>(count) : node.node.attributes[1] == count;
  Tensor part = tensor;
  strides_of(tensor.sizes, tensor.rank, strides);
  for (int i = 0; i < count && fits; i++) {
    // Without a list: equal sizes, of which the last may be smaller.
    const int64_t equal = (tensor.sizes[axis] + count - 1) / count;
    const int64_t own = part.sizes[axis] = is_given ? sizes.integers()[i] : clip(left, 0, equal);
    fits = own >= 0 && own <= left && (i < count - 1 || own == left);
    if (!fits) break;
    TRY(copy_to_output(node, i, tensor, first, strides, part.sizes));
    first += own * strides[axis];
    left -= own;
  }
  return fits ? nullptr : fail(failure() << "its input is " << tensor << "; expected sizes of " << count
                                         << " parts that are those of axis " << axis << " together");
}

Status run_range(NodeRun& node) {
  int64_t numbers[3];  // start, limit, step
  for (int i = 0; i < 3; i++) {
    const Tensor& tensor = node.input(i);
    if (tensor.count() != 1) return fail(failure() << "input " << i << " is " << tensor << "; expected one number");
    numbers[i] = *static_cast<const int64_t*>(tensor.data);
  }
  const int64_t start = numbers[0], limit = numbers[1], step = numbers[2];
  if (start < -MAX_ELEMENTS || start > MAX_ELEMENTS || limit < -MAX_ELEMENTS || limit > MAX_ELEMENTS || step < 1)
    return fail(failure() << "the range goes from " << start << " to " << limit << " by " << step
                          << "; expected numbers that fit, and a positive step");
  const int64_t count = limit > start ? (limit - start - 1) / step + 1 : 0;
  void* data = nullptr;
  TRY(node.output(0, INT64, &count, 1, &data));
  for (int64_t i = 0; data && i < count; i++) static_cast<int64_t*>(data)[i] = start + i * step;
  return nullptr;
}

}  // namespace mbert
