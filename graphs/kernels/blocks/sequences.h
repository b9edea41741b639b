// The sequences of a batch: where each begins among the rows of tokens, and the mask of its scores.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mbert {

// Rows of tokens, one sequence after the other.
struct Sequences {
  int count = 0;
  int rows = 0, longest = 0;    // of all sequences, and of the longest
  const int* starts = nullptr;  // [count + 1]: the first row of each, and the number of all rows

  int length(int sequence) const { return starts[sequence + 1] - starts[sequence]; }

  // The sequence that a row belongs to.
  int of(int row) const {
    int low = 0, high = count;  // starts[low] <= row < starts[high]
    while (high - low > 1) {
      const int middle = low + (high - low) / 2;
      (starts[middle] <= row ? low : high) = middle;
    }
    return low;
  }
};

// Calls function(sequence, position, row, count) for the part of each sequence in rows [first, first + rows): `count`
// rows from `row` on, of which the first is at `position` in its sequence.
template <class Function>
inline void for_each_sequence(const Sequences& sequences, int first, int rows, Function function) {
  const int end = first + rows;
  for (int sequence = rows > 0 ? sequences.of(first) : 0; first < end; sequence++) {
    const int after = sequences.starts[sequence + 1] < end ? sequences.starts[sequence + 1] : end;
    if (after > first) function(sequence, first - sequences.starts[sequence], first, after - first);
    first = after > first ? after : first;
  }
}

// What is added to the scores [batch, heads, seq, seq]: numbers, and the elements from one index to the next of each
// axis, 0 where all indices have the same number.
struct Mask {
  const float* data = nullptr;
  int64_t strides[4] = {};

  // The first number of a row of scores.
  const float* row(int sequence, int head, int query) const {
    return data + sequence * strides[0] + head * strides[1] + query * strides[2];
  }
};

// A mask at or below this removes the token from softmax: e^-100 is already negligible in float32, and scores are far
// below 1e30. Exporters write half of float32's lowest number, the lowest number, or −∞.
constexpr float MASKED = -1e30f;

// Returns the number of tokens that are attended to in a row of a mask: without the padding at the end, whose weight in
// softmax is 0, unless the whole row is padding.
inline int unpadded_length(const float* row, int64_t stride, int tokens) {
  int length = tokens;
  while (length > 0 && row[(length - 1) * stride] <= MASKED) length--;
  return length ? length : tokens;
}

}  // namespace mbert
