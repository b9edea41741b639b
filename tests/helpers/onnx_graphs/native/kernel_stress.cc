// A stress test of the whole library, built with a sanitizer and a fake of onnxruntime. Creates nodes, runs them from ten
// threads at once with several threads per run, creates malformed nodes, and checks that all memory is released. Runs also
// products with float16 weights. MBERT_KERNELS_ISA chooses the instruction set. Prints the number of blocks and of nodes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <random>

#include "fake_onnxruntime.h"
#include "operators/isa_selection.h"
#include "text_stress.h"

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions*, const OrtApiBase*);

namespace {

std::mt19937 random_bits(1);

OrtValue floats(std::vector<int64_t> sizes, float size = 1) {
  OrtValue result{FLOAT, sizes, {}};
  result.data.resize(bytes_of(result));
  std::normal_distribution<float> normal(0, size);
  float* values = reinterpret_cast<float*>(result.data.data());
  for (size_t i = 0; i < result.data.size() / 4; i++) values[i] = normal(random_bits);
  return result;
}

// Random numbers of float16 between 0.25 and 0.5, of either sign.
OrtValue halves(std::vector<int64_t> sizes) {
  OrtValue result{FLOAT16, sizes, {}};
  result.data.resize(bytes_of(result));
  uint16_t* values = reinterpret_cast<uint16_t*>(result.data.data());
  for (size_t i = 0; i < result.data.size() / 2; i++)
    values[i] = static_cast<uint16_t>(0x3400 + random_bits() % 0x400 + random_bits() % 2 * 0x8000);
  return result;
}

OrtValue reals(int type, std::vector<int64_t> sizes) { return type == FLOAT16 ? halves(sizes) : floats(sizes); }

OrtValue bytes(std::vector<int64_t> sizes) {
  OrtValue result{INT8, sizes, {}};
  result.data.resize(bytes_of(result));
  for (char& one : result.data) one = static_cast<char>(static_cast<int>(random_bits() % 255) - 127);
  return result;
}

// Weights and biases of a type: FLOAT, INT8 (with scales), or FLOAT16.
void add_weight(std::vector<OrtValue>& inputs, int type, int64_t k, int64_t n, bool bias) {
  if (type == FLOAT16) {
    inputs.push_back(halves({k, n}));
    if (bias) inputs.push_back(halves({n}));
    return;
  }
  if (type == INT8) {
    inputs.push_back(bytes({k, n}));
    inputs.push_back(floats({n}, 0.002f));
  } else {
    inputs.push_back(floats({k, n}, 1 / sqrtf(static_cast<float>(k))));
  }
  if (bias) inputs.push_back(floats({n}));
}

struct Widths {
  int64_t hidden, intra, wide, heads, networks;
};

void add_ffn(std::vector<OrtValue>& inputs, int type, const Widths& w) {
  for (int64_t i = 0; i < w.networks; i++) {
    add_weight(inputs, type, w.intra, w.wide, true);
    add_weight(inputs, type, w.wide, w.intra, false);
  }
  add_weight(inputs, type, w.intra, w.hidden, false);
}

void add_attention(std::vector<OrtValue>& inputs, int type, const Widths& w) {
  add_weight(inputs, type, w.hidden, 3 * w.intra, true);
  add_weight(inputs, type, w.intra, 2 * w.intra, true);
  add_weight(inputs, type, w.intra, w.intra, false);
}

// The operators in the order of their domain; those of texts come after them.
enum Block { FFN, ATTENTION, ENCODER, EMBEDDINGS };
constexpr struct {
  Block block;
  int type;
} OPERATORS[] = {{FFN, FLOAT},       {FFN, INT8},       {ATTENTION, FLOAT},   {ATTENTION, INT8},
                 {ENCODER, FLOAT},   {ENCODER, INT8},   {ENCODER, FLOAT16},
                 {EMBEDDINGS, FLOAT}, {EMBEDDINGS, INT8}, {EMBEDDINGS, FLOAT16}};
constexpr int COUNT = sizeof(OPERATORS) / sizeof(OPERATORS[0]);

// Random inputs for a node of embeddings, whose batch has the lengths of these texts.
OrtKernelInfo embeddings_of(int type, const Widths& w, int64_t batch, int64_t length) {
  constexpr int64_t VOCABULARY = 30, TYPES = 2, POSITIONS = 64;
  OrtKernelInfo info;
  info.at_run_time = 2;
  for (int64_t rows : {VOCABULARY, TYPES}) {
    OrtValue ids{INT64, {batch, length}, std::vector<char>(batch * length * 8)};
    int64_t* values = reinterpret_cast<int64_t*>(ids.data.data());
    for (int64_t i = 0; i < batch * length; i++) values[i] = random_bits() % rows;
    info.inputs.push_back(ids);
  }
  if (type == INT8) {
    info.inputs.push_back(bytes({VOCABULARY, w.intra}));
    info.inputs.push_back(floats({VOCABULARY, 1}, 0.01f));
  } else {
    info.inputs.push_back(reals(type, {VOCABULARY, w.intra}));
  }
  info.inputs.push_back(reals(type, {POSITIONS, w.hidden}));
  info.inputs.push_back(reals(type, {TYPES, w.hidden}));
  add_weight(info.inputs, type, 3 * w.intra, w.hidden, false);
  return info;
}

// Random inputs for a node of the number-th operator.
OrtKernelInfo node_of(int number, const Widths& w, const std::vector<int>& lengths) {
  OrtKernelInfo info;
  std::vector<OrtValue>& inputs = info.inputs;
  const int type = OPERATORS[number].type;
  const Block block = OPERATORS[number].block;
  const int64_t batch = static_cast<int64_t>(lengths.size());
  int64_t longest = 0;
  for (int length : lengths) longest = length > longest ? length : longest;
  if (block == EMBEDDINGS) return embeddings_of(type, w, batch, longest);
  if (block == FFN) {
    inputs = {floats({batch * longest, w.intra}), floats({batch * longest, w.hidden})};
    add_ffn(inputs, type, w);
    info.at_run_time = 2;
    return info;
  }
  OrtValue mask = floats({batch, 1, 1, longest}, 0);
  for (int64_t i = 0; i < batch; i++)
    for (int64_t j = lengths[i]; j < longest; j++)
      reinterpret_cast<float*>(mask.data.data())[i * longest + j] = -INFINITY;
  // Networks of one head get masks for every row, too.
  if (w.heads == 1) mask = floats({longest, longest});
  if (type == FLOAT16) mask = halves({longest, longest});
  OrtValue heads{INT64, {4}, std::vector<char>(32)};
  const int64_t split[] = {batch, longest, w.heads, w.intra / w.heads};
  memcpy(heads.data.data(), split, sizeof(split));
  inputs = {reals(type, {batch * longest, w.hidden}), mask, heads};
  info.at_run_time = 3;
  if (block == ATTENTION) {
    add_attention(inputs, type, w);
    return info;
  }
  info.attributes = {{"layers", {3}}, {"networks", {w.networks}}, {"factors", {0, 1, 0}}};
  for (int64_t layer = 0; layer < 3; layer++) {
    if (layer == 1) inputs.push_back(reals(type, {w.hidden}));
    add_attention(inputs, type, w);
    add_ffn(inputs, type, w);
  }
  return info;
}

std::vector<const OrtCustomOp*> ops;
std::atomic<int> wrong{0};

std::vector<char> run(const OrtCustomOp* op, void* node, const OrtKernelInfo& info, int threads) {
  OrtKernelContext context(op, info, threads);
  OrtStatus* status = op->KernelComputeV2(node, &context);
  if (status) fprintf(stderr, "%s\n", status->message.c_str()), wrong++;
  release(status);
  return context.outputs[0].data;
}

// Ten threads run two nodes, and check that the output is the same every time.
void stress(int number, const Widths& widths, const std::vector<int>& lengths) {
  const OrtKernelInfo info = node_of(number, widths, lengths);
  const OrtCustomOp* op = ops[number];
  void* nodes[2];
  for (void*& node : nodes)
    if (OrtStatus* status = op->CreateKernelV2(op, the_api(API_VERSION), &info, &node)) {
      fprintf(stderr, "%s\n", status->message.c_str());
      exit(1);
    }
  const std::vector<char> expected = run(op, nodes[0], info, 1);
  std::vector<std::thread> all;
  for (int i = 0; i < 10; i++)
    all.emplace_back([&, i] {
      for (int time = 0; time < 3; time++)
        if (run(op, nodes[i % 2], info, 1 + i % 4) != expected) wrong++;
    });
  for (std::thread& one : all) one.join();
  for (void* node : nodes) op->KernelDestroy(node);
}

// Creates a node from malformed inputs. It must be refused with a status, or run without an error of the sanitizer.
void run_malformed(int number) {
  const Widths widths{33, 24, 40, 3, 2};
  OrtKernelInfo info = node_of(number, widths, {5, 2});
  const OrtCustomOp* op = ops[number];
  OrtValue& one = info.inputs[random_bits() % info.inputs.size()];
  const char* const names[] = {"layers", "networks", "factors"};
  switch (random_bits() % (info.attributes.empty() ? 6 : 8)) {
    case 0: info.inputs.pop_back(); break;
    case 1: info.inputs.push_back(floats({3})); break;
    case 2: one.type = one.type == FLOAT ? INT8 : FLOAT; break;
    case 3: one.sizes.push_back(1); break;
    case 4: one.sizes.pop_back(); break;
    case 6: info.attributes.erase(names[random_bits() % 3]); break;
    case 7: info.attributes[names[random_bits() % 3]] = {static_cast<int64_t>(random_bits() % 5) - 1}; break;
    default: one.sizes[random_bits() % one.sizes.size()] = random_bits() % 70; break;
  }
  for (OrtValue& value : info.inputs) value.data.resize(bytes_of(value));
  void* node = nullptr;
  OrtStatus* status = op->CreateKernelV2(op, the_api(API_VERSION), &info, &node);
  if (!status) {
    OrtKernelContext context(op, info, 2);
    release(op->KernelComputeV2(node, &context));
    op->KernelDestroy(node);
  }
  release(status);
}

// Products with float16 weights, and conversions, in memory that is exactly as large as they need.
void stress_halves(const Isa& isa) {
  for (int size : {1, 4, 7, 17, 33, 70}) {
    const int rows = size, k = 2 * size + 1, n = 3 * size;
    std::vector<float> x(rows * k), y(rows * n), bias(round_up(n, isa.panel_float)), numbers(k * n);
    std::vector<uint16_t> halves(k * n), panels(k * round_up(n, isa.panel_float));
    for (uint16_t& one : halves) one = static_cast<uint16_t>(random_bits());  // infinities and NaN, too
    isa.halves_to_floats(halves.data(), halves.size(), numbers.data());
    isa.floats_to_halves(numbers.data(), numbers.size(), halves.data());
    Weight weight{k, n};
    isa.pack_half(halves.data(), k, n, panels.data());
    weight.panels = panels.data();
    weight.bias = bias.data();
    isa.multiply_half({x.data(), k}, rows, weight, {y.data(), n, true});
    isa.multiply_half({x.data(), k}, rows, weight, {y.data(), n, false, y.data(), n});
  }
}

}  // namespace

int main() {
  const OrtApiBase base{the_api, nullptr};
  std::vector<std::thread> sessions;
  OrtSessionOptions options[4] = {};
  for (OrtSessionOptions& one : options) sessions.emplace_back([&] { release(RegisterCustomOps(&one, &base)); });
  for (std::thread& one : sessions) one.join();
  ops = options[0].domain->ops;
  if (domains != 1 || ops.size() != COUNT + TEXT_OPERATORS) return fprintf(stderr, "%d domains\n", static_cast<int>(domains)), 1;

  const Widths widths[] = {{512, 128, 512, 4, 4}, {64, 48, 80, 3, 1}, {33, 20, 37, 5, 2}, {24, 65, 30, 1, 1}};
  const std::vector<int> texts[] = {{1}, {7}, {33, 5, 1}, {64, 64}};
  int stressed = 0;
  Message why_not;
  stress_halves(*chosen_isa(&why_not));
  for (int number = 0; number < COUNT; number++)
    for (const Widths& one : widths)
      for (const std::vector<int>& lengths : texts) stress(number, one, lengths), stressed++;
  for (int i = 0; i < 1000; i++) run_malformed(i % COUNT);
  const int tokenized = stress_texts(ops.data() + COUNT);
  if (heap.live || statuses) {
    fprintf(stderr, "%d allocations and %d statuses were not released\n", static_cast<int>(heap.live),
            static_cast<int>(statuses));
    return 1;
  }
  if (wrong) return fprintf(stderr, "%d runs were wrong\n", static_cast<int>(wrong)), 1;
  printf("%d blocks, 1000 malformed nodes, %d texts\n", stressed, tokenized);
  return 0;
}
