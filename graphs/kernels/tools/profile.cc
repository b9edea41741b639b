// Profiles the kernels on one thread, without onnxruntime: the time of each part, and the peak rates to compare them
// with. A program of its own, `make profile-kernels`; the library does not contain it.
//
//   profile [TOKENS ...] [--isa NAME]
//   profile --run TIMES TOKENS [--isa NAME]     (runs an int8 layer TIMES times, to count its instructions)
//
// Prints, for each length, the time of MobileBERT's 24 layers (random weights) in int8, float16 and float32; the shares
// of quantization, products, attention and the rest; and multiply-accumulates per second. Prints also the peak rates of a
// loop of the same instruction whose operands stay in registers, and the time to read all weights once, which is a
// lower bound where the weights do not fit the caches.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "blocks/encoder.h"
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

// Weights are contiguous and in large pages, as weight_memory.cc allocates them.
constexpr size_t PAGE = size_t{2} << 20, MAX_WEIGHT_BYTES = 64 * PAGE;
char *weights_begin, *weights_at, *weights_end;

void* weight_memory(size_t bytes) {
  char* piece = weights_at;
  weights_at += (bytes + 127) / 64 * 64;
  if (weights_at > weights_end) abort();
  return piece;
}

float* random_floats(size_t count, float size) {
  float* result = static_cast<float*>(memory(count * sizeof(float)));
  for (size_t i = 0; i < count; i++) result[i] = static_cast<float>(random_int()) * size / 128.0f;
  return result;
}

size_t weight_bytes = 0;

Weight weight(const Isa& isa, Precision precision, int k, int n, bool has_bias) {
  Weight result;
  result.k = k;
  result.n = n;
  const size_t columns = round_up(n, isa.panel(precision)), count = static_cast<size_t>(k) * n;
  const size_t bytes = isa.packed_bytes(precision, k, n);
  weight_bytes += bytes;
  result.panels = weight_memory(bytes);
  if (precision == Precision::INT8) {
    int8_t* numbers = static_cast<int8_t*>(memory(count));
    for (size_t i = 0; i < count; i++) numbers[i] = static_cast<int8_t>(random_int() | 1);
    isa.pack_int8(numbers, k, n, result.panels);
    free(numbers);
    result.scales = random_floats(columns, 1e-4f);
  } else {
    float* numbers = random_floats(count, 0.05f);
    if (precision == Precision::HALF) {
      uint16_t* halves = static_cast<uint16_t*>(memory(count * sizeof(uint16_t)));
      isa.floats_to_halves(numbers, count, halves);
      isa.pack_half(halves, k, n, result.panels);
      free(halves);
    } else {
      isa.pack_float(numbers, k, n, result.panels);
    }
    free(numbers);
  }
  if (has_bias) result.bias = random_floats(columns, 0.1f);
  return result;
}

Layer layer(const Isa& isa, Precision precision) {
  Layer result;
  BottleneckAttention& attention = result.attention;
  attention.precision = precision;
  attention.hidden = HIDDEN;
  attention.intra = INTRA;
  attention.heads = HEADS;
  attention.weight_in = weight(isa, precision, HIDDEN, 3 * INTRA, true);
  attention.weight_qk = weight(isa, precision, INTRA, 2 * INTRA, true);
  attention.weight_out = weight(isa, precision, INTRA, INTRA, false);
  StackedFFN& ffn = result.ffn;
  ffn.precision = precision;
  ffn.hidden = HIDDEN;
  ffn.intra = INTRA;
  ffn.intermediate = INTERMEDIATE;
  ffn.networks = NETWORKS;
  for (int i = 0; i < NETWORKS; i++) {
    ffn.weight1[i] = weight(isa, precision, INTRA, INTERMEDIATE, true);
    ffn.weight2[i] = weight(isa, precision, INTERMEDIATE, INTRA, false);
  }
  ffn.weight_out = weight(isa, precision, INTRA, HIDDEN, false);
  return result;
}

// Wraps the kernels of an instruction set, and adds up the time of each part.
const Isa* real;
double quantizing, multiplying, attending;  // ms

template <class Work>
void timed(double& total, Work work) {
  const double start = now();
  work();
  total += now() - start;
}

Isa timed_isa() {
  Isa isa = *real;
  isa.quantize = [](const float* x, int x_stride, int rows, int k, void* q, int stride, float* steps, int32_t* starts) {
    timed(k == INTRA / HEADS ? attending : quantizing,
          [&] { real->quantize(x, x_stride, rows, k, q, stride, steps, starts); });
  };
  isa.multiply_int8 = [](const Rows& rows, int count, const Weight& w, const Output& output) {
    // Keys and values are weights, too, of one run.
    const bool is_weight = w.panels >= weights_begin && w.panels < weights_end;
    timed(is_weight ? multiplying : attending, [&] { real->multiply_int8(rows, count, w, output); });
  };
  isa.multiply_float = [](const Rows& rows, int count, const Weight& w, const Output& output) {
    timed(multiplying, [&] { real->multiply_float(rows, count, w, output); });
  };
  isa.multiply_half = [](const Rows& rows, int count, const Weight& w, const Output& output) {
    timed(multiplying, [&] { real->multiply_half(rows, count, w, output); });
  };
  isa.attend = [](const float* query, int query_stride, int count, const Head& head, float* scores, float* out,
                  int out_stride) {
    timed(attending, [&] { real->attend(query, query_stride, count, head, scores, out, out_stride); });
  };
  isa.pack_keys = [](const float* keys, int stride, int count, int size, int first, int8_t* panels, float* steps) {
    timed(attending, [&] { real->pack_keys(keys, stride, count, size, first, panels, steps); });
  };
  isa.pack_values = [](const float* values, int stride, int count, int size, int first, int padded, int8_t* panels,
                       float* steps) {
    timed(attending, [&] { real->pack_values(values, stride, count, size, first, padded, panels, steps); });
  };
  isa.quantized_softmax = [](float* scores, int stride, int rows, int padded, const float* value_steps, void* q,
                             int q_stride, float* steps, int32_t* starts) {
    timed(attending,
          [&] { real->quantized_softmax(scores, stride, rows, padded, value_steps, q, q_stride, steps, starts); });
  };
  return isa;
}

struct Model {
  Layer layers[LAYERS];
  Encoder encoder;
  int starts[2];
  float *x, *y, *mask;
  char* scratch;

  // Allocates input, output and scratch for a text of `length` tokens.
  void allocate(const Isa& isa, int length) {
    starts[0] = 0;
    starts[1] = length;
    x = random_floats(static_cast<size_t>(length) * HIDDEN, 1.0f);
    y = random_floats(static_cast<size_t>(length) * HIDDEN, 1.0f);
    mask = static_cast<float*>(calloc(length, sizeof(float)));
    scratch = static_cast<char*>(memory(planned(isa).scratch()));
  }

  void free_buffers() {
    free(x);
    free(y);
    free(mask);
    free(scratch);
  }

  // Plans a run on one thread.
  EncoderRun planned(const Isa& isa) const {
    return EncoderRun(isa, encoder, {1, starts[1], starts[1], starts}, {mask, {0, 0, 0, 1}}, HEADS, 1);
  }

  void run(const Isa& isa) const {
    EncoderRun one = planned(isa);
    one.use(starts, x, y, scratch);
    for (int phase = 0; phase < one.phases(); phase++)
      for (int chunk = 0; chunk < one.chunks(); chunk++) one.compute(phase, chunk);
  }
};

void take_weight_memory() {
  weights_begin = weights_at = static_cast<char*>(aligned_alloc(PAGE, MAX_WEIGHT_BYTES));
  weights_end = weights_at + MAX_WEIGHT_BYTES;
#if defined(__linux__)
  madvise(weights_at, MAX_WEIGHT_BYTES, MADV_HUGEPAGE);
#endif
}

void run_layer(const Isa& isa, int tokens, int times) {
  take_weight_memory();
  Model* model = static_cast<Model*>(memory(sizeof(Model)));
  model->layers[0] = layer(isa, Precision::INT8);
  model->encoder = {1, model->layers};
  model->allocate(isa, tokens);
  for (int i = 0; i < times; i++) model->run(isa);
}

void profile(const Isa& isa, const char* name, int tokens, Model& model) {
  model.allocate(isa, tokens);
  const double whole = median_ms([&] { model.run(isa); });
  quantizing = multiplying = attending = 0;
  const Isa wrapped = timed_isa();
  const double start = now();
  for (int i = 0; i < REPEATS; i++) model.run(wrapped);
  const double instrumented = now() - start;

  const double macs_per_token = static_cast<double>(HIDDEN) * 3 * INTRA + 2.0 * INTRA * INTRA + INTRA * INTRA +
                            2.0 * NETWORKS * INTRA * INTERMEDIATE + INTRA * HIDDEN;
  const double macs = LAYERS * macs_per_token * tokens, scores = LAYERS * 2.0 * INTRA * tokens * tokens;
  // Corrected for the overhead of the clock.
  const double rate = macs / multiplying * REPEATS * 1e-6 * instrumented / REPEATS / whole;
  printf("%6d  %-7s  %8.3f ms  %5.1f %%  %5.1f %%  %5.1f %%  %5.1f %%  %8.1f GMAC/s  %8.1f GMAC/s\n", tokens,
         name, whole, 100 * quantizing / instrumented, 100 * multiplying / instrumented,
         100 * attending / instrumented, 100 * (instrumented - quantizing - multiplying - attending) / instrumented,
         rate, scores / attending * REPEATS * 1e-6);
  model.free_buffers();
}

// Reads `bytes` bytes in order, and returns the rate in GB/s.
double read_rate(size_t bytes) {
  const uint64_t* numbers = static_cast<const uint64_t*>(memory(bytes));
  memset(const_cast<uint64_t*>(numbers), 1, bytes);
  const double ms = median_ms([&] {
    uint64_t sums[16] = {};
    for (size_t i = 0; i + 16 <= bytes / 8; i += 16)
      for (int j = 0; j < 16; j++) sums[j] += numbers[i + j];
    __asm__ volatile("" : : "r"(sums) : "memory");  // keeps the loop from being removed
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
      return fprintf(stderr, "profile: the length is %s; expected 1 to 4096 tokens, or --isa NAME\n", argv[i]), 2;
  }
  for (const Isa* one : KNOWN)
    if (!isa && one->is_supported() && (!name || !strcmp(one->name, name))) isa = one;
  if (!isa) return fprintf(stderr, "profile: this processor does not support %s\n", name), 2;
  real = isa;
  constexpr int DEFAULT_LENGTHS[] = {8, 32, 128, 384};
  if (!count)
    for (int tokens : DEFAULT_LENGTHS) lengths[count++] = tokens;

  if (times >= 0) return run_layer(*isa, count ? lengths[0] : 128, times), 0;

  constexpr int64_t STEPS = 1 << 20;
  const double int8_peak = isa->peak_int8(0) * STEPS / median_ms([&] { isa->peak_int8(STEPS); }) * 1e-6;
  const double float_peak = isa->peak_float(0) * STEPS / median_ms([&] { isa->peak_float(STEPS); }) * 1e-6;
  printf("%s; peak rates: int8 %.0f GMAC/s, float32 %.0f GMAC/s\n", isa->name, int8_peak, float_peak);
  printf("tokens  weights         time  quantize  products  attention   rest        products          attention\n");
  constexpr struct {
    Precision precision;
    const char* name;
  } KINDS[] = {{Precision::INT8, "int8"}, {Precision::HALF, "float16"}, {Precision::FLOAT, "float32"}};
  for (const auto& kind : KINDS) {
    Model* model = static_cast<Model*>(memory(sizeof(Model)));
    weight_bytes = 0;
    take_weight_memory();
    for (Layer& one : model->layers) one = layer(*isa, kind.precision);
    model->encoder = {LAYERS, model->layers};
    for (int i = 0; i < count; i++) profile(*isa, kind.name, lengths[i], *model);
    const double rate = read_rate(weight_bytes);
    printf("        %-7s  %.1f MB of weights, read once at %.1f GB/s: %.3f ms\n", kind.name,
           static_cast<double>(weight_bytes) * 1e-6, rate, static_cast<double>(weight_bytes) / rate * 1e-6);
  }
  return 0;
}
