// The nodes that tokenize, with random tables, right ones and wrong ones, and random texts. They must return outputs or an
// error, and read nothing outside of their inputs.
#pragma once

#include <stdio.h>

#include <random>

#include "fake_onnxruntime.h"

// TokenizePairWindows is the last of the forms.
constexpr int TEXT_OPERATORS = 4;

class TextStress {
 public:
  // Runs a node, and the same node in several threads. Returns whether it was refused, and counts wrong runs.
  bool run(const OrtCustomOp* op, int form) {
    const OrtKernelInfo info = node_of(form);
    void* node = nullptr;
    if (OrtStatus* status = op->CreateKernelV2(op, the_api(API_VERSION), &info, &node)) return release(status), true;
    OrtKernelContext first(op, info, 1);
    OrtStatus* status = op->KernelComputeV2(node, &first);
    const bool is_refused = status;
    release(status);
    if (number(8) == 0) {
      std::vector<std::thread> all;
      for (int i = 0; i < 4; i++)
        all.emplace_back([&] {
          OrtKernelContext again(op, info, 1);
          OrtStatus* other = op->KernelComputeV2(node, &again);
          if (is_refused != (other != nullptr)) wrong++;
          for (size_t output = 0; output < first.outputs.size() && !other; output++)
            if (again.outputs[output].data != first.outputs[output].data) wrong++;
          release(other);
        });
      for (std::thread& one : all) one.join();
    }
    op->KernelDestroy(node);
    return is_refused;
  }

  std::atomic<int> wrong{0};

 private:
  int64_t number(int64_t below) { return static_cast<int64_t>(random_bits_() % below); }

  template <class Element>
  OrtValue values(int type, std::vector<int64_t> sizes, int64_t below, int64_t least = 0) {
    OrtValue result{type, sizes, {}};
    result.data.resize(bytes_of(result));
    Element* data = reinterpret_cast<Element*>(result.data.data());
    for (size_t i = 0; i < result.data.size() / sizeof(Element); i++) data[i] = static_cast<Element>(least + number(below));
    return result;
  }

  OrtValue text() {
    static const char PIECES[] = "aaabbb []  \t\x80\xbf\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xed\xa0\xff";
    OrtValue result{UINT8, {number(3) ? number(40) : number(3000)}, {}};
    for (int64_t i = 0; i < result.sizes[0]; i++) result.data.push_back(PIECES[number(sizeof(PIECES))]);
    return result;
  }

  // The table of classes is large enough for all code points; the trie is small, and walks are often long.
  OrtKernelInfo node_of(int form) {
    constexpr int64_t SHIFT = 7, BLOCKS = 0x110000 >> SHIFT, CLASSES = 12, SYMBOLS = 14, SLOTS = 64, ADDED = 3;
    const bool has_pair = form % 2, has_windows = form >= 2;
    OrtKernelInfo info;
    for (int i = 0; i <= has_pair; i++) {
      info.inputs.push_back(text());
      info.inputs.push_back(values<int64_t>(INT64, {number(6)}, 50, -4));
    }
    for (int i = 0; i <= has_windows; i++) info.inputs.push_back(values<int64_t>(INT64, {1}, 40, -4));
    const size_t first_table = info.inputs.size();
    info.at_run_time = number(2) ? first_table : first_table + number(12);
    const auto uint16s = [&](std::vector<int64_t> sizes, int64_t below) {
      info.inputs.push_back(values<uint16_t>(UINT16, sizes, below));
    };
    const auto uint8s = [&](int64_t size, int64_t below) { info.inputs.push_back(values<uint8_t>(UINT8, {size}, below)); };
    uint16s({BLOCKS + 1}, 4);
    // Some tables are too short for the numbers in others.
    const int64_t class_blocks = number(8) ? 4 : 3, entry_slots = number(8) ? SLOTS : SLOTS / 2;
    uint16s({class_blocks << SHIFT}, CLASSES);
    uint16s({CLASSES, 2}, SYMBOLS);
    uint16s({CLASSES}, 6);
    uint8s(CLASSES, 4);
    uint8s(SYMBOLS, 2);
    info.inputs.push_back(values<int32_t>(INT32, {ADDED, 2}, 16));
    uint16s({SLOTS}, SYMBOLS);
    uint16s({SLOTS}, SLOTS - SYMBOLS);
    if (number(2))
      uint16s({entry_slots}, ADDED);
    else
      info.inputs.push_back(values<int32_t>(INT32, {entry_slots}, ADDED));
    uint8s(entry_slots, 3);
    info.attributes = {{"shift", {SHIFT}},
                       {"roots", {number(20), number(20), number(20), number(2) * number(20)}},
                       {"last_space", {3}},
                       {"last_isolated", {6}},
                       {"first_added", {4}},
                       {"unknown", {99}},
                       {"longest_word", {number(9)}},
                       {"template", {0, 7, 0, 1, 0, 0, 0, 8, 0, 1, has_pair, 1}},
                       {"padding", {0}},
                       {"truncation", {number(4)}},
                       {"truncation_side", {number(2)}},
                       {"limit", {number(300)}},
                       {"columns", {number(2) * number(30)}},
                       {"spans", {number(2)}}};
    if (has_windows) info.attributes["windowed"] = {has_pair * number(2)};
    if (number(3) == 0) spoil(&info, first_table);
    return info;
  }

  // Changes one number of a table or an attribute to any, or a shape.
  void spoil(OrtKernelInfo* info, size_t first_table) {
    static const char* const NAMES[] = {"shift", "roots", "last_space", "last_isolated", "first_added", "longest_word",
                                        "template", "truncation", "limit", "columns"};
    OrtValue& one = info->inputs[number(4) ? first_table + number(11) : number(info->inputs.size())];
    switch (number(5)) {
      case 0: {
        std::vector<int64_t>& numbers = info->attributes[NAMES[number(10)]];
        const int64_t large[] = {-1, 1, 63, 65535, 65536, INT32_MAX, INT64_MAX, INT64_MIN};
        numbers[number(numbers.size())] = large[number(8)];
        return;
      }
      case 1: one.sizes[0] = number(10); break;
      case 2: one.sizes.push_back(1); break;
      default:
        if (!one.data.empty())
          for (int64_t i = number(9); i >= 0; i--) one.data[number(one.data.size())] = static_cast<char>(number(256));
        return;
    }
    one.data.resize(bytes_of(one));
  }

  std::mt19937 random_bits_{2};
};

// Runs nodes of the text operators. Returns their number; ends the program where one was wrong, or all were refused.
inline int stress_texts(const OrtCustomOp* const* ops) {
  constexpr int NODES = 3000;
  TextStress stress;
  int refused = 0;
  for (int i = 0; i < NODES; i++) refused += stress.run(ops[i % TEXT_OPERATORS], i % TEXT_OPERATORS);
  if (stress.wrong || refused < NODES / 20 || refused > NODES * 9 / 10) {
    fprintf(stderr, "%d of %d nodes were refused, and %d runs were wrong\n", refused, NODES,
            static_cast<int>(stress.wrong));
    exit(1);
  }
  return NODES;
}
