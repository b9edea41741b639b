#include "standalone/operators/standard/ranking.h"

#include "standalone/operators/standard/movement.h"
#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

// The best of a row, in a heap whose first is the worst of them.
template <class Number>
struct Best {
  const Number* numbers;
  bool largest;
  int64_t* heap;
  int64_t size;

  // Whether a number is ranked before another: of equal ones, the first.
  bool is_before(int64_t a, int64_t b) const {
    const Number x = numbers[a], y = numbers[b];
    if (x != y) return largest ? x > y : x < y;
    return a < b;
  }
  // Moves a place that is too good for its own down.
  void sink(int64_t place, int64_t end) const {
    const int64_t moved = heap[place];
    for (int64_t child; (child = 2 * place + 1) < end; place = child) {
      if (child + 1 < end && is_before(heap[child], heap[child + 1])) child++;
      if (!is_before(moved, heap[child])) break;
      heap[place] = heap[child];
    }
    heap[place] = moved;
  }
  // Ranks the best of `count` numbers.
  void rank(int64_t count) const {
    for (int64_t i = 0; i < size; i++) heap[i] = i;
    for (int64_t i = size / 2 - 1; i >= 0; i--) sink(i, size);
    for (int64_t i = size; size && i < count; i++)
      if (is_before(i, heap[0])) heap[0] = i, sink(0, size);
    for (int64_t end = size - 1; end > 0; end--) {
      const int64_t worst = heap[0];
      heap[0] = heap[end];
      heap[end] = worst;
      sink(0, end);
    }
  }
};

}  // namespace

Status run_top_k(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  if (axis != tensor.rank - 1)
    return fail(Message() << "the axis is " << axis << " of " << tensor << "; expected the last one. Run this file with "
                          << "onnxruntime-web");
  int64_t k[1] = {}, sizes[MAX_RANK], rows = 1;
  int given = 0;
  TRY(load_list(node.input(1), "k", k, 1, &given));
  const int64_t length = tensor.sizes[axis];
  if (!given || k[0] < 0 || k[0] > length)
    return fail(Message() << "k is " << k[0] << "; expected 0 to " << length << ", the length of a row");
  for (int i = 0; i < tensor.rank; i++) sizes[i] = i == axis ? k[0] : tensor.sizes[i];
  for (int i = 0; i < axis; i++) rows *= tensor.sizes[i];
  void *data = nullptr, *indices = nullptr;
  TRY(node.output(0, tensor.type, sizes, tensor.rank, &data));
  TRY(node.output(1, INT64, sizes, tensor.rank, &indices));
  NumberArray numbers;
  int64_t* heap = nullptr;
  TRY(numbers.load(tensor));
  TRY(allocate_array(static_cast<size_t>(k[0]), &heap));
  const bool largest = node.node.attributes[1] != 0, reals = is_real(tensor.type);
  for (int64_t row = 0; row < rows; row++) {
    const int64_t first = row * length;
    if (reals)
      Best<double>{numbers.reals() + first, largest, heap, k[0]}.rank(length);
    else
      Best<int64_t>{numbers.integers() + first, largest, heap, k[0]}.rank(length);
    for (int64_t i = 0; i < k[0]; i++) {
      const size_t to = static_cast<size_t>(row * k[0] + i);
      if (indices) static_cast<int64_t*>(indices)[to] = heap[i];
      if (data) store_numbers(tensor.type, numbers.integers() + first + heap[i], 1, data, to);
    }
  }
  release_memory(heap);
  return nullptr;
}

Status run_unique(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  if (axis != 0) return fail(Message() << "the axis is " << axis << "; expected 0. Run this file with onnxruntime-web");
  const int64_t rows = tensor.sizes[0];
  const size_t width = rows ? tensor.count() / static_cast<size_t>(rows) : 0;
  const int64_t* data = static_cast<const int64_t*>(tensor.data);
  // A hash table of the first of equal rows, and for each row the number of its kind.
  size_t places = 16;
  while (places < 2 * static_cast<size_t>(rows)) places *= 2;
  Array<int64_t> memory;
  for (size_t i = 0; i < places + 3 * static_cast<size_t>(rows); i++) TRY(memory.add(i < places ? -1 : 0));
  int64_t *table = memory.begin(), *kinds = table + places, *firsts = kinds + rows, *counts = firsts + rows;
  int64_t found = 0;
  for (int64_t row = 0; row < rows; row++) {
    const int64_t* own = data + static_cast<size_t>(row) * width;
    uint64_t hash = 0;
    for (size_t i = 0; i < width; i++) hash = (hash ^ static_cast<uint64_t>(own[i])) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
    size_t place = static_cast<size_t>(hash >> 17) & (places - 1);
    for (; table[place] >= 0; place = (place + 1) & (places - 1)) {
      const int64_t* other = data + static_cast<size_t>(firsts[table[place]]) * width;
      size_t i = 0;
      while (i < width && own[i] == other[i]) i++;
      if (i == width) break;
    }
    if (table[place] < 0) {
      table[place] = found;
      firsts[found++] = row;
    }
    kinds[row] = table[place];
    counts[kinds[row]]++;
  }
  int64_t sizes[MAX_RANK];
  for (int i = 0; i < tensor.rank; i++) sizes[i] = tensor.sizes[i];
  sizes[0] = found;
  void* outputs[4];  // the rows, their places, the kind of each row, and how many there are of each kind
  TRY(node.output(0, INT64, sizes, tensor.rank, &outputs[0]));
  TRY(node.output(1, INT64, &found, 1, &outputs[1]));
  TRY(node.output(2, INT64, &rows, 1, &outputs[2]));
  TRY(node.output(3, INT64, &found, 1, &outputs[3]));
  for (int64_t i = 0; outputs[0] && i < found; i++)
    for (size_t j = 0; j < width; j++)
      static_cast<int64_t*>(outputs[0])[static_cast<size_t>(i) * width + j] = data[static_cast<size_t>(firsts[i]) * width + j];
  const int64_t* const lists[] = {firsts, kinds, counts};
  for (int i = 0; i < 3; i++)
    if (outputs[i + 1])
      __builtin_memcpy(outputs[i + 1], lists[i], static_cast<size_t>(i == 1 ? rows : found) * sizeof(int64_t));
  return nullptr;
}

Status run_nonzero(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  const size_t total = tensor.count();
  // Twice: to count, then to write.
  int64_t* places = nullptr;
  int64_t sizes[2] = {tensor.rank, 0};
  for (int turn = 0; turn < 2; turn++) {
    const bool is_counting = turn == 0;
    int64_t found = 0;
    Strip strip;
    for (size_t first = 0; first < total; first += STRIP) {
      const int count = static_cast<int>(total - first < STRIP ? total - first : STRIP);
      load_numbers(tensor.type, tensor.data, first, 1, count, &strip);
      for (int i = 0; i < count; i++) {
        if (is_real(tensor.type) ? strip.reals[i] == 0 : strip.integers[i] == 0) continue;
        int64_t left = static_cast<int64_t>(first) + i;
        for (int axis = tensor.rank - 1; !is_counting && axis >= 0; axis--) {
          places[axis * sizes[1] + found] = left % tensor.sizes[axis];
          left /= tensor.sizes[axis];
        }
        found++;
      }
    }
    if (!is_counting) continue;
    sizes[1] = found;
    void* data = nullptr;
    TRY(node.output(0, INT64, sizes, 2, &data));
    if (!data) return nullptr;
    places = static_cast<int64_t*>(data);
  }
  return nullptr;
}

namespace {

enum Scatter { NONE, ADDED, LARGEST, SMALLEST };

template <class Number>
Number scattered(int64_t code, Number old, Number update) {
  switch (code) {
    case ADDED: return static_cast<Number>(old + update);
    case LARGEST: return update > old ? update : old;
    case SMALLEST: return update < old ? update : old;
    default: return update;
  }
}

}  // namespace

Status run_scatter_elements(NodeRun& node) {
  const Tensor &tensor = node.input(0), &indices = node.input(1), &updates = node.input(2);
  int axis = 0;
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  bool fits = indices.rank == tensor.rank && updates.rank == tensor.rank;
  for (int i = 0; fits && i < tensor.rank; i++)
    fits = indices.sizes[i] == updates.sizes[i] && (i == axis || indices.sizes[i] <= tensor.sizes[i]);
  if (!fits)
    return fail(Message() << "the indices are " << indices << " and the updates " << updates
                          << "; expected equal shapes within that of " << tensor);
  void* data = nullptr;
  TRY(node.output(0, tensor.type, tensor.sizes, tensor.rank, &data));
  if (!data) return nullptr;
  if (const size_t bytes = tensor_bytes(tensor)) __builtin_memcpy(data, tensor.data, bytes);
  const size_t total = indices.count();
  const int64_t code = node.node.attributes[1];
  for (size_t i = 0; i < total; i++) {
    int64_t index = 0, left = static_cast<int64_t>(i), place = 0, stride = 1;
    load_numbers(indices.type, indices.data, i, 1, 1, &index);
    const int64_t given = index;
    if (index < 0) index += tensor.sizes[axis];
    if (index < 0 || index >= tensor.sizes[axis])
      return fail(Message() << "an index is out of data bounds, " << given << "; expected " << -tensor.sizes[axis] << " to "
                            << tensor.sizes[axis] - 1);
    for (int j = tensor.rank - 1; j >= 0; j--) {
      place += (j == axis ? index : left % indices.sizes[j]) * stride;
      left /= indices.sizes[j];
      stride *= tensor.sizes[j];
    }
    Strip old, update;
    load_numbers(tensor.type, data, static_cast<size_t>(place), 1, 1, &old);
    load_numbers(tensor.type, updates.data, i, 1, 1, &update);
    if (is_real(tensor.type))
      old.reals[0] = scattered(code, old.reals[0], update.reals[0]);
    else
      old.integers[0] = static_cast<int64_t>(
          code == ADDED ? static_cast<uint64_t>(old.integers[0]) + static_cast<uint64_t>(update.integers[0])
                        : static_cast<uint64_t>(scattered(code == ADDED ? 0 : code, old.integers[0], update.integers[0])));
    store_numbers(tensor.type, &old, 1, data, static_cast<size_t>(place));
  }
  return nullptr;
}

}  // namespace mbert
