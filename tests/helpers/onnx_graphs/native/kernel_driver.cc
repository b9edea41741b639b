// Runs a fused block with one instruction set, without onnxruntime, so that tests can run kernels for another processor
// under an emulator. Reads the operator's inputs in order, as raw binary data, from standard input; writes y the same
// way to standard output. Runs also a product with a float16 weight, and converts float16 numbers, then float32 ones.
//
//   driver ffn ISA PRECISION tokens intra intermediate hidden networks
//   driver attention ISA PRECISION batch length intra hidden heads
//   driver product ISA 2 rows k n has_bias EPILOGUE       (0: none, 1: ReLU, 2: residual)
//   driver convert ISA 2 halves floats 0 0 0
//
// PRECISION is the number of a Precision (isa/isa.h): that of the weights.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blocks/blocks.h"
#include "isa/known_isas.h"

// Whether to run instruction sets that this processor does not support, whose instructions are emulated (stand_ins.h).
#ifndef STAND_INS
#define STAND_INS false
#endif

using namespace mbert;

static void* read(size_t bytes) {
  void* memory = calloc(1, bytes + 64);
  if (fread(memory, 1, bytes, stdin) != bytes) exit(3);
  return memory;
}

// Memory that holds NaN as floats and −1 as bytes, so that a number that no kernel has written shows in the output.
static char* unwritten(size_t bytes) {
  char* memory = static_cast<char*>(aligned_alloc(64, round_up_to_cache_line(bytes)));
  memset(memory, -1, bytes);
  return memory;
}

static float* read_floats(size_t count) { return static_cast<float*>(read(count * sizeof(float))); }

static float* padded(const Isa& isa, Precision precision, int n) {
  float* numbers = read_floats(n);
  float* result = static_cast<float*>(calloc(round_up(n, isa.panel(precision)), sizeof(float)));
  memcpy(result, numbers, n * sizeof(float));
  return result;
}

static void weight(const Isa& isa, Precision precision, Weight* to, int k, int n, bool has_bias) {
  to->k = k;
  to->n = n;
  to->panels = calloc(1, isa.packed_bytes(precision, k, n));
  if (precision == Precision::INT8) {
    isa.pack_int8(static_cast<int8_t*>(read(static_cast<size_t>(k) * n)), k, n, to->panels);
    to->scales = padded(isa, precision, n);
  } else if (precision == Precision::HALF) {
    isa.pack_half(static_cast<uint16_t*>(read(static_cast<size_t>(k) * n * sizeof(uint16_t))), k, n, to->panels);
  } else {
    isa.pack_float(read_floats(static_cast<size_t>(k) * n), k, n, to->panels);
  }
  if (has_bias) to->bias = padded(isa, precision, n);
}

static void write(const void* numbers, size_t bytes) { fwrite(numbers, 1, bytes, stdout); }

// y = relu?(x·weight + bias?) + residual?, where the weight is float16.
static void multiply(const Isa& isa, int rows, int k, int n, bool has_bias, int epilogue) {
  const float* x = read_floats(static_cast<size_t>(rows) * k);
  const uint16_t* numbers = static_cast<uint16_t*>(read(static_cast<size_t>(k) * n * sizeof(uint16_t)));
  Weight weight{k, n};
  weight.panels = unwritten(isa.packed_bytes(Precision::HALF, k, n));
  isa.pack_half(numbers, k, n, weight.panels);
  if (has_bias) weight.bias = padded(isa, Precision::HALF, n);
  const size_t count = static_cast<size_t>(rows) * n;
  float* y = reinterpret_cast<float*>(unwritten(count * sizeof(float)));
  Output output{y, n, epilogue == 1};
  if (epilogue == 2) output.residual = read_floats(count), output.residual_stride = n;
  isa.multiply_half({x, k}, rows, weight, output);
  write(y, count * sizeof(float));
}

static void convert(const Isa& isa, size_t halves, size_t floats) {
  const uint16_t* half = static_cast<uint16_t*>(read(halves * sizeof(uint16_t)));
  float* widened = reinterpret_cast<float*>(unwritten(halves * sizeof(float)));
  isa.halves_to_floats(half, halves, widened);
  write(widened, halves * sizeof(float));
  const float* numbers = read_floats(floats);
  uint16_t* rounded = reinterpret_cast<uint16_t*>(unwritten(floats * sizeof(uint16_t)));
  isa.floats_to_halves(numbers, floats, rounded);
  write(rounded, floats * sizeof(uint16_t));
}

int main(int argc, char** argv) {
  if (argc != 9) return 2;
  const Isa* isa = nullptr;
  for (const Isa* one : KNOWN)
    if (!strcmp(one->name, argv[2]) && (STAND_INS || one->is_supported())) isa = one;
  if (!isa) return 4;
  const Precision precision = static_cast<Precision>(atoi(argv[3]));
  int sizes[5];
  for (int i = 0; i < 5; i++) sizes[i] = atoi(argv[4 + i]);
  if (!strcmp(argv[1], "product")) return multiply(*isa, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]), 0;
  if (!strcmp(argv[1], "convert")) return convert(*isa, sizes[0], sizes[1]), 0;
  float* y = nullptr;
  size_t count = 0;
  if (!strcmp(argv[1], "ffn")) {
    StackedFFN block;
    const int tokens = sizes[0];
    block.precision = precision;
    block.intra = sizes[1];
    block.intermediate = sizes[2];
    block.hidden = sizes[3];
    block.networks = sizes[4];
    const float* x = read_floats(static_cast<size_t>(tokens) * block.intra);
    const float* residual = read_floats(static_cast<size_t>(tokens) * block.hidden);
    for (int i = 0; i < block.networks; i++) {
      weight(*isa, precision, &block.weight1[i], block.intra, block.intermediate, true);
      weight(*isa, precision, &block.weight2[i], block.intermediate, block.intra, false);
    }
    weight(*isa, precision, &block.weight_out, block.intra, block.hidden, false);
    count = static_cast<size_t>(tokens) * block.hidden;
    y = static_cast<float*>(calloc(count, sizeof(float)));
    block.run(*isa, x, residual, y, tokens, unwritten(block.scratch(tokens)));
  } else {
    BottleneckAttention block;
    const int batch = sizes[0], length = sizes[1], tokens = batch * length;
    block.precision = precision;
    block.intra = sizes[2];
    block.hidden = sizes[3];
    block.heads = sizes[4];
    const float* x = read_floats(static_cast<size_t>(tokens) * block.hidden);
    const float* mask = read_floats(tokens);
    weight(*isa, precision, &block.weight_in, block.hidden, 3 * block.intra, true);
    weight(*isa, precision, &block.weight_qk, block.intra, 2 * block.intra, true);
    weight(*isa, precision, &block.weight_out, block.intra, block.intra, false);
    count = static_cast<size_t>(tokens) * block.intra;
    y = static_cast<float*>(calloc(count, sizeof(float)));
    int* starts = static_cast<int*>(calloc(batch + 1, sizeof(int)));
    for (int i = 0; i <= batch; i++) starts[i] = i * length;
    const Sequences sequences{batch, tokens, length, starts};
    const BottleneckAttention::Projected projected =
        block.projected(*isa, unwritten(block.projected_bytes(*isa, sequences)), sequences);
    char* scratch = unwritten(block.project_scratch(tokens) + block.attend_scratch(*isa, sequences, tokens));
    block.project(*isa, x, projected, 0, tokens, scratch);
    block.attend(*isa, projected, {mask, {length, 0, 0, 1}}, y, 0, tokens, scratch);
  }
  write(y, count * sizeof(float));
  return 0;
}
