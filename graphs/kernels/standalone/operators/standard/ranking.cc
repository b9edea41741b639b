#include "standalone/operators/standard/ranking.h"

#include "standalone/operators/standard/movement.h"
#include "standalone/operators/numbers/strips.h"

namespace mbert {

namespace {

// Turns numbers into integers of the same order, or of the opposite one. Of real numbers, both zeros are the same.
void to_keys(bool reals, bool are_reversed, size_t count, void* numbers) {
  int64_t* keys = static_cast<int64_t*>(numbers);
  for (size_t i = 0; i < count; i++) {
    if (reals) {
      static_cast<double*>(numbers)[i] += 0.0;
      if (keys[i] < 0) keys[i] ^= INT64_MAX;  // the magnitudes of negative numbers are in the other order
    }
    if (are_reversed) keys[i] = ~keys[i];
  }
}

// Ranks the largest of keys. Those that are equal keep their order.
struct Ranking {
  const int64_t* keys;
  int64_t* heap;  // of the largest: their places; the first is the last in rank
  int64_t size;

  bool is_before(int64_t a, int64_t b) const { return keys[a] != keys[b] ? keys[a] > keys[b] : a < b; }
  // Moves the place at the top down to where it belongs.
  void sink(int64_t place, int64_t end) const {
    const int64_t moved = heap[place];
    for (int64_t child; (child = 2 * place + 1) < end; place = child) {
      if (child + 1 < end && is_before(heap[child], heap[child + 1])) child++;
      if (!is_before(moved, heap[child])) break;
      heap[place] = heap[child];
    }
    heap[place] = moved;
  }
  void rank(int64_t count) const {
    for (int64_t i = 0; i < size; i++) heap[i] = i;
    for (int64_t i = size / 2 - 1; i >= 0; i--) sink(i, size);
    for (int64_t i = size; size && i < count; i++)
      if (is_before(i, heap[0])) heap[0] = i, sink(0, size);
    for (int64_t end = size - 1; end > 0; end--) {
      const int64_t last = heap[0];
      heap[0] = heap[end];
      heap[end] = last;
      sink(0, end);
    }
  }
};

// Copies the element of a place.
void copy_element(const Tensor& from, size_t place, void* to, size_t index) {
  const size_t bytes = element_bytes(from.type);
  __builtin_memcpy(static_cast<char*>(to) + index * bytes, static_cast<const char*>(from.data) + place * bytes, bytes);
}

Status expect_rank(const Tensor& tensor, int rank) {
  if (tensor.rank == rank) return nullptr;
  return fail(failure() << "its input is " << tensor << "; expected " << rank << " axes" << ADVICE);
}

}  // namespace

Status run_top_k(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  int axis = 0, given = 0;
  int64_t k[1] = {}, sizes[MAX_RANK];
  TRY(resolve_axis(node.node.attributes[0], tensor.rank, &axis));
  TRY(load_list(node.input(1), "k", k, 1, &given));
  const int64_t length = tensor.sizes[axis];
  if (axis != tensor.rank - 1 || !given || k[0] < 0 || k[0] > length)
    return fail(failure() << "k is " << k[0] << " and the axis " << axis << " of " << tensor << "; expected 0 to " << length
                          << ", and the last axis");
  for (int i = 0; i < tensor.rank; i++) sizes[i] = i == axis ? k[0] : tensor.sizes[i];
  void *data = nullptr, *places = nullptr;
  TRY(node.output(0, tensor.type, sizes, tensor.rank, &data));
  TRY(node.output(1, INT64, sizes, tensor.rank, &places));
  NumberArray keys;
  int64_t* heap = nullptr;
  const size_t count = tensor.count();
  TRY(keys.load(tensor));
  TRY(allocate_array(static_cast<size_t>(k[0]), &heap));
  to_keys(is_real(tensor.type), !node.node.attributes[1], count, keys.integers());
  size_t written = 0;
  for (size_t first = 0; first < count; first += static_cast<size_t>(length)) {
    Ranking{keys.integers() + first, heap, k[0]}.rank(length);
    for (int64_t i = 0; i < k[0]; i++, written++) {
      if (places) static_cast<int64_t*>(places)[written] = heap[i];
      if (data) copy_element(tensor, first + static_cast<size_t>(heap[i]), data, written);
    }
  }
  release_memory(heap);
  return nullptr;
}

Status run_unique(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  TRY(expect_rank(tensor, 2));
  if (!tensor.sizes[1])
    return fail(failure() << "its input is " << tensor << "; expected one number at least in each row");
  const int64_t rows = tensor.sizes[0];
  const size_t width = static_cast<size_t>(tensor.sizes[1]);
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
  const int64_t sizes[] = {found, tensor.sizes[1]};
  void* outputs[4];  // the rows, their places, the kind of each row, and how many there are of each kind
  TRY(node.output(0, INT64, sizes, tensor.rank, &outputs[0]));
  TRY(node.output(1, INT64, &found, 1, &outputs[1]));
  TRY(node.output(2, INT64, &rows, 1, &outputs[2]));
  TRY(node.output(3, INT64, &found, 1, &outputs[3]));
  for (size_t i = 0; outputs[0] && i < static_cast<size_t>(found) * width; i++)
    copy_element(tensor, static_cast<size_t>(firsts[i / width]) * width + i % width, outputs[0], i);
  const int64_t* const lists[] = {firsts, kinds, counts};
  for (int i = 0; i < 3; i++)
    if (outputs[i + 1])
      __builtin_memcpy(outputs[i + 1], lists[i], static_cast<size_t>(i == 1 ? rows : found) * sizeof(int64_t));
  return nullptr;
}

Status run_nonzero(NodeRun& node) {
  const Tensor& tensor = node.input(0);
  TRY(expect_rank(tensor, 1));
  Array<int64_t> places;
  const char* bytes = static_cast<const char*>(tensor.data);
  const size_t element = element_bytes(tensor.type);
  for (int64_t i = 0; i < tensor.sizes[0]; i++) {
    int64_t number = 0;
    for (size_t j = 0; j < element; j++) number |= bytes[static_cast<size_t>(i) * element + j];
    if (number) TRY(places.add(i));
  }
  const int64_t sizes[] = {1, static_cast<int64_t>(places.size())};
  void* data = nullptr;
  TRY(node.output(0, INT64, sizes, 2, &data));
  if (data && places.size()) __builtin_memcpy(data, places.begin(), places.size() * sizeof(int64_t));
  return nullptr;
}

Status run_scatter_elements(NodeRun& node) {
  enum { NONE, ADDED, LARGEST, SMALLEST };
  const Tensor &tensor = node.input(0), &indices = node.input(1), &updates = node.input(2);
  for (int i = 0; i < 3; i++) TRY(expect_rank(node.input(i), 1));
  const int64_t size = tensor.sizes[0], count = indices.sizes[0], code = node.node.attributes[1];
  if (updates.sizes[0] != count || node.node.attributes[0] > 0)
    return fail(failure() << "there are " << count << " indices and " << updates.sizes[0] << " updates; expected as many");
  void* data = nullptr;
  TRY(node.output(0, tensor.type, tensor.sizes, 1, &data));
  if (!data) return nullptr;
  NumberArray numbers, places, added;
  TRY(numbers.load(tensor));
  TRY(places.load(indices));
  TRY(added.load(updates));
  for (int64_t i = 0; i < count; i++) {
    const int64_t given = places.integers()[i], index = given < 0 ? given + size : given;
    if (index < 0 || index >= size)
      return fail(failure() << "an index is out of data bounds, " << given << "; expected " << -size << " to " << size - 1);
    if (is_real(tensor.type)) {
      double &old = numbers.reals()[index], update = added.reals()[i];
      old = code == ADDED ? old + update : (code == LARGEST && update <= old) || (code == SMALLEST && update >= old) ? old : update;
    } else {
      int64_t &old = numbers.integers()[index], update = added.integers()[i];
      if (code == ADDED)
        old = static_cast<int64_t>(static_cast<uint64_t>(old) + static_cast<uint64_t>(update));
      else if (code == NONE || (code == LARGEST ? update > old : update < old))
        old = update;
    }
  }
  store_numbers(tensor.type, numbers.integers(), static_cast<int>(size), data, 0);
  return nullptr;
}

}  // namespace mbert
