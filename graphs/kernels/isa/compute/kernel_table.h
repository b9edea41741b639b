// MBERT_ISA(symbol, label, is_supported) defines the table of kernels of one instruction set; see isa/isa.h.
#pragma once

#include "isa/isa.h"

#ifdef MBERT_PROFILE
#define PEAKS , peak_int8, peak_float
#else
#define PEAKS
#endif

#define MBERT_ISA(symbol, label, is_supported)                                                                  \
  namespace mbert {                                                                                             \
  extern const Isa symbol;                                                                                      \
  const Isa symbol = {label,          is_supported, INT8_PANEL,    FLOAT_PANEL,    LANES,  DEPTH,                 \
                      pack_int8,      pack_float,   quantize,      multiply_int8,  multiply_float,                \
                      attend,         pack_keys,    pack_values,   quantized_softmax,                             \
                      transpose PEAKS};                                                                           \
  }
