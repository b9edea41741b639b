// The kernels' arithmetic, written once and compiled once for each instruction set. A file that includes this has
// defined, for its own:
//
//   LANES, HAS_FMA            floats of a vector, and whether there is a fused multiply-add: see vectors.h
//   INT8_ROWS, INT8_VECTORS   the tile of an int8 product: rows by vectors of columns, accumulated in registers
//   FLOAT_ROWS, FLOAT_VECTORS the same of a product with float32 or float16 weights
//   SCORE_ROWS, SCORE_VECTORS the tile of attention's scores
//   VALUE_VECTORS             with SCORE_ROWS, the tile of attention's weighted sum of values
//   UNSIGNED_WEIGHTS          whether `dot` takes weights plus 128; accumulators then start with -128 times the row's sum
//   Prepared, prepare(Bytes)  a vector of int8 weights as `dot` takes it, prepared once for all rows of a tile
//   Quad, splat_quad(const int8_t*)  four consecutive activations, repeated for every column of a vector
//   dot(Ints, Prepared, Quad) adds to each column's accumulator the products of four weights and four activations
//
// and may have defined, before `vectors.h` and this:
//
//   CUSTOM_MULTIPLY_INT8      it has its own multiply_int8 (and peak_int8), and no Prepared, Quad and dot
//   ENGINE_SHIFT              a variable with what weights are too large by, where only a run can tell: 0, or 128 as for
//                             UNSIGNED_WEIGHTS, which then is true; it uses MBERT_ISA_OF
//   GROUP, DEPTH              consecutive weights of one column; the multiple to which k is padded (default: 4, GROUP)
//   BY_LANE                   an instruction multiplies a vector by one lane of another
//   PAIRED_ROWS               activations are interleaved by pairs of rows: so many of one row, then of the other
//   PAIRED_WEIGHTS            of four weights, the first two of all columns of a vector are stored before the other two
//   INTERLEAVES               whether, of the 8 columns of a panel, bytes of the first four and of the last four alternate,
//                             each of the first ones plus 128; an expression, which may be a variable (default: false)
//   SHORT_ATTENTION           a pointer to the instruction set for int8 attention of short sequences (default: this one)
//   SHARED_FLOAT              the instruction set whose float kernels it uses: those of x86/avx512.h or x86/avx2.h
//   HALF_ROWS                 the rows of a tile of multiply_half (default: FLOAT_ROWS)
//   CONVERT_ONCE_FROM         the fewest rows for which multiply_half converts each panel of float16 weights once, before
//                             its products, rather than in every tile (default: never)
//   CUSTOM_MULTIPLY_HALF      it has its own multiply_half
//
// Int8 products are bit-identical for all instruction sets: accumulators are integers, and the epilogue consists of
// single multiplications and additions, which are never fused.
#pragma once

#include "isa/compute/tile.h"

#include "isa/compute/half.h"
#include "isa/compute/pack.h"
#include "isa/compute/quantize.h"
#include "isa/compute/gemm.h"
#include "isa/compute/attention.h"
#include "isa/compute/attention_int8.h"
#include "isa/compute/transpose.h"
#include "isa/compute/peaks.h"

#include "isa/compute/kernel_table.h"
