// Numbers of any element type in strips of one of two types: double for real numbers, int64 for integers and booleans.
// So each operator is written twice at most. Sums, products and quotients of float32 and float16 that are computed in
// double and rounded once are the same as those computed in float32.
#pragma once

#include "standalone/operators/operator.h"

namespace mbert {

constexpr int STRIP = 256;

struct Strip {
  union {
    double reals[STRIP];
    int64_t integers[STRIP];
  };
};

constexpr bool is_real(int type) { return is_in(type, REALS); }

// The integer type of the same size, which holds the bits of an element.
int bits_type(int type);

// Reads numbers from element `first` on, which are `stride` elements apart: 1, or 0 for the same number again. `type` is
// that of `data`.
void load_numbers(int type, const void* data, size_t first, int stride, int count, void* numbers);
// Writes numbers from element `first` on. Integers keep their low bits, and booleans are whether a number is not 0.
void store_numbers(int type, const void* numbers, int count, void* data, size_t first);

// Converts numbers to the other type: real ones are rounded towards 0, to the nearest integer that fits.
void to_integers(Strip* strip, int count);
void to_reals(Strip* strip, int count);

// The numbers of a tensor as one array, in memory that is released with this.
class NumberArray {
 public:
  ~NumberArray() { release_memory(memory_); }
  Status load(const Tensor& tensor);
  double* reals() const { return static_cast<double*>(memory_); }
  int64_t* integers() const { return static_cast<int64_t*>(memory_); }

 private:
  void* memory_ = nullptr;
};

// Copies the numbers of a tensor as another real type.
Status copy_numbers(const Tensor& from, int type, void* to);

// Loads at most STRIP numbers of a tensor that lists sizes, axes or the like.
Status load_list(const Tensor& tensor, const char* what, int64_t* list, int most, int* count);

// Walks over the elements of a shape in strips along its last axis. Tensors that broadcast to it are read in step; axes
// that all of them read in order are joined.
class BroadcastWalk {
 public:
  // `tensors` broadcast to the shape, which was checked.
  BroadcastWalk(const int64_t* sizes, int rank, const Tensor* const* tensors, int count);

  // Goes to the next strip; false after the last. The first call goes to the first one.
  bool next();
  int length() const { return length_; }
  size_t first() const { return first_; }                        // its first element, in order
  size_t first_of(int tensor) const { return at_[tensor] + offset_ * strides_[tensor][last_]; }
  int stride_of(int tensor) const { return static_cast<int>(strides_[tensor][last_]); }

 private:
  static constexpr int MOST = 3;
  int64_t sizes_[MAX_RANK] = {}, index_[MAX_RANK] = {}, strides_[MOST][MAX_RANK] = {};
  size_t at_[MOST] = {}, first_ = 0, offset_ = 0, total_ = 1;
  int count_, last_ = 0, length_ = 0;
};

// Computes the shape to which tensors broadcast.
Status broadcast_shape(const Tensor* const* tensors, int count, int64_t* sizes, int* rank);

}  // namespace mbert
