// Where the kernels' time goes, and how far it is from what the processor could do: one thread, without onnxruntime.
// A program of its own, `make profile-kernels`; nothing of it is in the library.
//
//   profile [TOKENS ...] [--isa NAME]
//   profile --run TIMES TOKENS [--isa NAME]     (runs a layer in 8 bits so often, for who counts instructions)
//
// For each length: the time of MobileBERT's 24 layers (random weights), in 8 bits and in float32; what share of it goes
// into quantizing rows, products, attention's own arithmetic, and the rest; multiply-accumulates per second, and what
// share that is of a loop of the same instruction that touches registers only; and how long it takes to read the
// weights once, which no arithmetic can undercut where they do not stay in the caches.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "operators/blocks.h"
#include "isa/known_isas.h"

using namespace mbert;

namespace {

constexpr int LAYERS = 24, HIDDEN = 512, INTRA = 128, INTERMEDIATE = 512, HEADS = 4, NETWORKS = 4;
constexpr int REPEATS = 31;

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

int by_size(const void* a, const void* b) {
  const double x = *static_cast<const double*>(a), y = *static_cast<const double*>(b);
  return x < y ? -1 : x > y;
}

template <class Work>
double median_ms(Work work) {
  double times[REPEATS];
  work();
  for (double& one : times) {
    const double start = now();
    work();
    one = now() - start;
  }
  qsort(times, REPEATS, sizeof(double), by_size);
  return times[REPEATS / 2];
}

uint32_t state = 1;
int random_int() { return static_cast<int>((state = state * 1664525u + 1013904223u) >> 24) - 128; }

void* memory(size_t bytes) { return aligned_alloc(64, (bytes + 127) / 64 * 64); }

// As weight_memory.cc does: beside each other, in large pages.
constexpr size_t PAGE = size_t{2} << 20, MOST_WEIGHTS = 64 * PAGE;
char *weights_at, *weights_end;

void* weight_memory(size_t bytes) {
  char* piece = weights_at;
  weights_at += (bytes + 127) / 64 * 64;
  if (weights_at > weights_end) abort();
  return piece;
}

float* random_floats(size_t count, float size) {
  float* made = static_cast<float*>(memory(count * sizeof(float)));
  for (size_t i = 0; i < count; i++) made[i] = static_cast<float>(random_int()) * size / 128.0f;
  return made;
}

size_t weight_bytes = 0;

Weight weight(const Isa& isa, bool int8, int k, int n, bool has_bias) {
  Weight made;
  made.k = k;
  made.n = n;
  const size_t columns = rounded_up(n, isa.panel), count = static_cast<size_t>(k) * n;
  const size_t bytes = columns * rounded_up(k, isa.depth) * (int8 ? 1 : sizeof(float));
  weight_bytes += bytes;
  made.panels = weight_memory(bytes);
  if (int8) {
    int8_t* numbers = static_cast<int8_t*>(memory(count));
    for (size_t i = 0; i < count; i++) numbers[i] = static_cast<int8_t>(random_int() | 1);
    isa.pack_int8(numbers, k, n, made.panels);
    free(numbers);
    made.scales = random_floats(columns, 1e-4f);
  } else {
    float* numbers = random_floats(count, 0.05f);
    isa.pack_float(numbers, k, n, made.panels);
    free(numbers);
  }
  if (has_bias) made.bias = random_floats(columns, 0.1f);
  return made;
}

struct Layer {
  BottleneckAttention attention;
  StackedFFN ffn;
};

Layer layer(const Isa& isa, bool int8) {
  Layer made;
  BottleneckAttention& attention = made.attention;
  attention.int8 = int8;
  attention.hidden = HIDDEN;
  attention.intra = INTRA;
  attention.heads = HEADS;
  attention.weight_in = weight(isa, int8, HIDDEN, 3 * INTRA, true);
  attention.weight_qk = weight(isa, int8, INTRA, 2 * INTRA, true);
  attention.weight_out = weight(isa, int8, INTRA, INTRA, false);
  StackedFFN& ffn = made.ffn;
  ffn.int8 = int8;
  ffn.hidden = HIDDEN;
  ffn.intra = INTRA;
  ffn.intermediate = INTERMEDIATE;
  ffn.networks = NETWORKS;
  for (int i = 0; i < NETWORKS; i++) {
    ffn.weight1[i] = weight(isa, int8, INTRA, INTERMEDIATE, true);
    ffn.weight2[i] = weight(isa, int8, INTERMEDIATE, INTRA, false);
  }
  ffn.weight_out = weight(isa, int8, INTRA, HIDDEN, false);
  return made;
}

// An instruction set that counts the time of each of its parts.
const Isa* real;
double quantizing, multiplying, attending;

template <class Work>
void timed(double& total, Work work) {
  const double start = now();
  work();
  total += now() - start;
}

Isa watched() {
  Isa isa = *real;
  isa.quantize = [](const float* x, int x_stride, int rows, int k, void* q, int stride, float* steps, int32_t* sums) {
    timed(quantizing, [&] { real->quantize(x, x_stride, rows, k, q, stride, steps, sums); });
  };
  isa.multiply_int8 = [](const Rows& rows, int count, const Weight& w, const Output& output) {
    timed(multiplying, [&] { real->multiply_int8(rows, count, w, output); });
  };
  isa.multiply_float = [](const Rows& rows, int count, const Weight& w, const Output& output) {
    timed(multiplying, [&] { real->multiply_float(rows, count, w, output); });
  };
  isa.attend = [](const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                  int out_stride) {
    timed(attending, [&] { real->attend(query, query_stride, count, head, scores, out, out_stride); });
  };
  return isa;
}

struct Model {
  Layer layers[LAYERS];
  int tokens;
  bool int8;
  float *x, *inner, *mask, *between;
  char* scratch;

  // Room for texts of so many tokens.
  void make_room(const Isa& isa, bool in_8_bits, int length) {
    tokens = length;
    int8 = in_8_bits;
    x = random_floats(static_cast<size_t>(tokens) * HIDDEN, 1.0f);
    inner = random_floats(static_cast<size_t>(tokens) * INTRA, 1.0f);
    mask = static_cast<float*>(calloc(tokens, sizeof(float)));
    const BottleneckAttention& attention = layers[0].attention;
    between = random_floats(attention.projected_floats(isa, 1, tokens), 1.0f);
    const size_t parts[] = {attention.project_scratch(tokens), attention.attend_scratch(isa, tokens, tokens),
                            layers[0].ffn.scratch(tokens)};
    size_t most = 0;
    for (size_t part : parts) most = part > most ? part : most;
    scratch = static_cast<char*>(memory(most));
  }

  void free_room() {
    free(x);
    free(inner);
    free(mask);
    free(between);
    free(scratch);
  }

  // As a session with one thread does: a block of rows at a time.
  void run(const Isa& isa, const Layer& one) const {
    const int most = int8 ? BLOCK_ROWS_INT8 : BLOCK_ROWS_FLOAT;
    const int blocks = (tokens + most - 1) / most, rows = (tokens + blocks - 1) / blocks;
    const BottleneckAttention::Projected projected = one.attention.projected(between, 1, tokens);
    for (int first = 0; first < tokens; first += rows)
      one.attention.project(isa, x + first * HIDDEN, projected, first, of(first, rows), scratch);
    for (int first = 0; first < tokens; first += rows)
      one.attention.attend(isa, projected, mask, 0, inner + first * INTRA, first, of(first, rows), scratch);
    for (int first = 0; first < tokens; first += rows)
      one.ffn.run(isa, inner + first * INTRA, x + first * HIDDEN, x + first * HIDDEN, of(first, rows), scratch);
  }

  void run(const Isa& isa) const {
    for (const Layer& one : layers) {
      run(isa, one);
      // Random layers would let the numbers grow.
      for (int i = 0; i < tokens * HIDDEN; i++) x[i] = x[i] > 1.0f ? 1.0f : x[i] < -1.0f ? -1.0f : x[i];
    }
  }

  int of(int first, int rows) const { return tokens - first < rows ? tokens - first : rows; }
};

void take_weight_memory() {
  weights_at = static_cast<char*>(aligned_alloc(PAGE, MOST_WEIGHTS));
  weights_end = weights_at + MOST_WEIGHTS;
#if defined(__linux__)
  madvise(weights_at, MOST_WEIGHTS, MADV_HUGEPAGE);
#endif
}

void run_layer(const Isa& isa, int tokens, int times) {
  take_weight_memory();
  Model* model = static_cast<Model*>(memory(sizeof(Model)));
  model->layers[0] = layer(isa, true);
  model->make_room(isa, true, tokens);
  for (int i = 0; i < times; i++) model->run(isa, model->layers[0]);
}

void profile(const Isa& isa, bool int8, int tokens, Model& model) {
  model.make_room(isa, int8, tokens);
  const double whole = median_ms([&] { model.run(isa); });
  quantizing = multiplying = attending = 0;
  const Isa watching = watched();
  const double start = now();
  for (int i = 0; i < REPEATS; i++) model.run(watching);
  const double all = now() - start;

  const double of_weights = static_cast<double>(HIDDEN) * 3 * INTRA + 2.0 * INTRA * INTRA + INTRA * INTRA +
                            2.0 * NETWORKS * INTRA * INTERMEDIATE + INTRA * HIDDEN;
  const double macs = LAYERS * of_weights * tokens, scores = LAYERS * 2.0 * INTRA * tokens * tokens;
  const double rate = macs / multiplying * REPEATS * 1e-6 * all / REPEATS / whole;  // without the clock's own time
  printf("%6d  %-7s  %8.3f ms  %5.1f %%  %5.1f %%  %5.1f %%  %5.1f %%  %8.1f GMAC/s  %8.1f GMAC/s\n", tokens,
         int8 ? "int8" : "float32", whole, 100 * quantizing / all, 100 * multiplying / all, 100 * attending / all,
         100 * (all - quantizing - multiplying - attending) / all, rate, scores / attending * REPEATS * 1e-6);
  model.free_room();
}

// Reads as much as the weights are, in their place's order, and gives GB/s.
double reading(size_t bytes) {
  const uint64_t* numbers = static_cast<const uint64_t*>(memory(bytes));
  memset(const_cast<uint64_t*>(numbers), 1, bytes);
  const double ms = median_ms([&] {
    uint64_t sums[16] = {};
    for (size_t i = 0; i + 16 <= bytes / 8; i += 16)
      for (int j = 0; j < 16; j++) sums[j] += numbers[i + j];
    __asm__ volatile("" : : "r"(sums) : "memory");  // or the loop would be left out
  });
  free(const_cast<uint64_t*>(numbers));
  return static_cast<double>(bytes) / ms * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  const Isa* isa = nullptr;
  int lengths[32], count = 0;
  const char* name = nullptr;
  int times = -1;
  for (int i = 1; i < argc; i++) {
    const int tokens = atoi(argv[i]);
    if (!strcmp(argv[i], "--isa") && i + 1 < argc)
      name = argv[++i];
    else if (!strcmp(argv[i], "--run") && i + 1 < argc)
      times = atoi(argv[++i]);
    else if (tokens > 0 && tokens <= 4096 && count < 32)
      lengths[count++] = tokens;
    else
      return fprintf(stderr, "profile: %s is no length; expected tokens from 1 to 4096, or --isa NAME\n", argv[i]), 2;
  }
  for (const Isa* one : KNOWN)
    if (!isa && one->is_there() && (!name || !strcmp(one->name, name))) isa = one;
  if (!isa) return fprintf(stderr, "profile: this processor has no %s\n", name), 2;
  real = isa;
  constexpr int USUAL[] = {8, 32, 128, 384};
  if (!count)
    for (int tokens : USUAL) lengths[count++] = tokens;

  if (times >= 0) return run_layer(*isa, count ? lengths[0] : 128, times), 0;

  constexpr int64_t STEPS = 1 << 20;
  const double int8_peak = isa->peak_int8(0) * STEPS / median_ms([&] { isa->peak_int8(STEPS); }) * 1e-6;
  const double float_peak = isa->peak_float(0) * STEPS / median_ms([&] { isa->peak_float(STEPS); }) * 1e-6;
  printf("%s; a loop in registers: int8 %.0f GMAC/s, float32 %.0f GMAC/s\n", isa->name, int8_peak, float_peak);
  printf("tokens  weights         time  quantize  products  attention   rest        products          attention\n");
  for (int bits = 8; bits <= 32; bits += 24) {
    const bool int8 = bits == 8;
    Model* model = static_cast<Model*>(memory(sizeof(Model)));
    weight_bytes = 0;
    take_weight_memory();
    for (Layer& one : model->layers) one = layer(*isa, int8);
    for (int i = 0; i < count; i++) profile(*isa, int8, lengths[i], *model);
    const double rate = reading(weight_bytes);
    printf("        %-7s  %.1f MB of weights, read once at %.1f GB/s: %.3f ms\n", int8 ? "int8" : "float32",
           static_cast<double>(weight_bytes) * 1e-6, rate, static_cast<double>(weight_bytes) / rate * 1e-6);
  }
  return 0;
}
