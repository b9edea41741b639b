// The float kernels that several instruction sets share, as functions named kernel_isa after the one that defines them.
// A copy of them in each would make the library larger by a third.
#pragma once

#include "isa/isa.h"

// Declares the kernels, for all instruction sets that share them.
#define DECLARE_SHARED_FLOATS(isa)                                                                                \
  namespace mbert {                                                                                               \
  void pack_float_##isa(const float* weight, int k, int n, void* panels);                                         \
  void pack_half_##isa(const uint16_t* weight, int k, int n, void* panels);                                       \
  void multiply_float_##isa(const Rows& rows, int count, const Weight& weight, const Output& output);             \
  void multiply_half_##isa(const Rows& rows, int count, const Weight& weight, const Output& output);              \
  void halves_to_floats_##isa(const uint16_t* from, size_t count, float* to);                                     \
  void floats_to_halves_##isa(const float* from, size_t count, uint16_t* to);                                     \
  void attend_##isa(const float* query, int query_stride, int count, const Head& head, float* scores, float* out, \
                    int out_stride);                                                                              \
  }

// Defines them as the kernels of the file that it is in, after isa/compute.h.
#define DEFINE_SHARED_FLOATS(isa)                                                                                 \
  namespace mbert {                                                                                               \
  void pack_float_##isa(const float* weight, int k, int n, void* panels) { pack_float(weight, k, n, panels); }    \
  void pack_half_##isa(const uint16_t* weight, int k, int n, void* panels) { pack_half(weight, k, n, panels); }   \
  void multiply_float_##isa(const Rows& rows, int count, const Weight& weight, const Output& output) {            \
    multiply_float(rows, count, weight, output);                                                                  \
  }                                                                                                               \
  void multiply_half_##isa(const Rows& rows, int count, const Weight& weight, const Output& output) {             \
    multiply_half(rows, count, weight, output);                                                                   \
  }                                                                                                               \
  void halves_to_floats_##isa(const uint16_t* from, size_t count, float* to) {                                    \
    halves_to_floats(from, count, to);                                                                            \
  }                                                                                                               \
  void floats_to_halves_##isa(const float* from, size_t count, uint16_t* to) {                                    \
    floats_to_halves(from, count, to);                                                                            \
  }                                                                                                               \
  void attend_##isa(const float* query, int query_stride, int count, const Head& head, float* scores, float* out, \
                    int out_stride) {                                                                             \
    attend(query, query_stride, count, head, scores, out, out_stride);                                            \
  }                                                                                                               \
  }
