// MBERT_ISA(symbol, label, is_supported) defines the table of kernels of one instruction set; see isa/isa.h.
#pragma once

#include "isa/isa.h"

#ifdef MBERT_PROFILE
#define PEAKS , peak_int8, peak_float
#else
#define PEAKS
#endif

// The float kernels: this file's own, or those of the instruction set that SHARED_FLOAT names.
#ifdef SHARED_FLOAT
#define JOINED(name, isa) name##_##isa
#define OF_ISA(name, isa) JOINED(name, isa)
#define FLOAT_KERNEL(name) mbert::OF_ISA(name, SHARED_FLOAT)
#else
#define FLOAT_KERNEL(name) name
#endif

// The instruction set for int8 attention of short sequences: this one, or what SHORT_ATTENTION points to.
#ifndef SHORT_ATTENTION
#define SHORT_ATTENTION nullptr
#endif

#define MBERT_ISA(symbol, label, is_supported) MBERT_ISA_OF(symbol, label, is_supported, multiply_int8, SHIFT)

// The same with an int8 product of its own, and what packed weights are too large by.
#define MBERT_ISA_OF(symbol, label, is_supported, multiply_int8, shift)                                         \
  namespace mbert {                                                                                             \
  extern const Isa symbol;                                                                                      \
  const Isa symbol = {label,        is_supported, SHORT_ATTENTION,                                               \
                      INT8_PANEL,   FLOAT_PANEL,  LANES,       DEPTH,       shift,                               \
                      pack_int8,    FLOAT_KERNEL(pack_float),               FLOAT_KERNEL(pack_half),             \
                      quantize,     multiply_int8,                                                               \
                      FLOAT_KERNEL(multiply_float),            FLOAT_KERNEL(multiply_half),                      \
                      FLOAT_KERNEL(halves_to_floats),          FLOAT_KERNEL(floats_to_halves),                   \
                      FLOAT_KERNEL(attend),                                                                      \
                      pack_keys,    pack_values,  quantized_softmax,        transpose PEAKS};                    \
  }
