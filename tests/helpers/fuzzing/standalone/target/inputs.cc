#include "inputs.h"

#include <cstring>
#include <string>
#include <vector>

#include "finding.h"

namespace {

using mbert::Port;

// The most numbers of an input.
constexpr size_t MOST_NUMBERS = 8192;
constexpr char TEXT[] = "a film [MASK] of covid films, b-b (covids) aaaaaaaab\t.";
// In the place of some of its letters: code points of two to four bytes, and none.
constexpr uint8_t BYTES[] = {0xc3, 0x89, 0xe6, 0xbc, 0xa2, 0xf0, 0x9f, 0x98, 0x80, 0xff, 0};

bool ends_with(const std::string& name, const char* end) {
  const size_t length = std::strlen(end);
  return name.size() >= length && name.compare(name.size() - length, length, end) == 0;
}

// The numbers of an input, one after the other.
int64_t number(const std::string& name, size_t index, size_t count, bool is_usual, Random* random) {
  if (!is_usual && random->one_in(3)) return random->of(INTERESTING);
  if (ends_with(name, "splits")) return static_cast<int64_t>(index * (sizeof(TEXT) - 1) / (count > 1 ? count - 1 : 1));
  if (ends_with(name, "length")) return static_cast<int64_t>(4 + random->below(12));
  if (ends_with(name, "type_ids")) return static_cast<int64_t>(random->below(2));
  if (ends_with(name, "mask")) return random->below(8) != 0;
  return static_cast<int64_t>(random->below(ends_with(name, "ids") ? 12 : 3));
}

// Writes a number as an element of a type.
void write_number(int type, int64_t number, Random* random, uint8_t* to) {
  const size_t bytes = mbert::element_bytes(type);
  if (type == mbert::FLOAT || type == mbert::DOUBLE) {
    static constexpr double REALS[] = {0.0,   1.0,   -1.0, 0.5, 3e38, -3.4e38, 1e-40, __builtin_inf(), -__builtin_inf(),
                                       __builtin_nan("")};
    const double real = number == 0 && random->one_in(4) ? random->of(REALS) : static_cast<double>(number) * 0.25;
    const float narrow = static_cast<float>(real);
    std::memcpy(to, type == mbert::FLOAT ? static_cast<const void*>(&narrow) : &real, bytes);
  } else if (type == mbert::FLOAT16) {
    const uint16_t bits = static_cast<uint16_t>(random->next());
    std::memcpy(to, &bits, bytes);
  } else {
    if (type == mbert::BOOL) number &= 1;
    std::memcpy(to, &number, bytes);
  }
}

// Chooses the sizes of an input: those that are fixed, and small ones, which are the same for the same name.
bool choose_sizes(const Port& port, const std::string& name, bool is_usual, uint64_t seed, Random* random,
                  std::vector<int32_t>* sizes) {
  const bool is_text = port.tensor.type == mbert::UINT8;
  const int rank = port.tensor.rank < 0 ? static_cast<int>(random->below(3)) : port.tensor.rank;
  size_t count = 1;
  for (int axis = 0; axis < rank; axis++) {
    int64_t size = port.tensor.rank < 0 ? -1 : port.tensor.sizes[axis];
    if (size < 0) {
      uint64_t hash = seed;
      if (port.tensor.rank >= 0)
        for (const char* letter = port.size_names[axis]; *letter; letter++)
          hash = hash * 31 + static_cast<uint8_t>(*letter);
      size = is_text && rank == 1 ? sizeof(TEXT) - 1 : 1 + static_cast<int64_t>(Random(hash).below(3));
      if (ends_with(name, "splits")) size++;
      if (!is_usual && random->one_in(6)) size = static_cast<int64_t>(random->below(6));
    }
    if (size > static_cast<int64_t>(MOST_NUMBERS)) return false;
    count *= static_cast<size_t>(size);
    if (count > MOST_NUMBERS) return false;
    sizes->push_back(static_cast<int32_t>(size));
  }
  return true;
}

}  // namespace

bool set_inputs(MbertRun* run, const mbert::Model& model, bool is_usual, Random* random) {
  static std::vector<void*> held;  // data of inputs, until the next ones are set
  for (void* data : held) std::free(data);
  held.clear();
  const uint64_t seed = random->next();
  for (size_t i = 0; i < model.inputs.size(); i++) {
    const Port& port = model.inputs[i];
    const bool is_optional = model.values[static_cast<size_t>(port.value)].tensor.data != nullptr;
    if (is_optional && (is_usual || random->one_in(2))) continue;
    const std::string name = port.name;
    const bool has_usual_numbers = is_usual || !random->one_in(3);
    std::vector<int32_t> sizes;
    if (!choose_sizes(port, name, is_usual, seed, random, &sizes)) return false;
    size_t count = 1;
    for (const int32_t size : sizes) count *= static_cast<size_t>(size);
    const size_t element = mbert::element_bytes(port.tensor.type);
    uint8_t* data = static_cast<uint8_t*>(std::malloc(count * element ? count * element : 1));
    held.push_back(data);
    for (size_t j = 0; j < count; j++)
      if (port.tensor.type == mbert::UINT8 && sizes.size() == 1)
        data[j] = has_usual_numbers || random->below(4) ? TEXT[j % (sizeof(TEXT) - 1)] : random->of(BYTES);
      else
        write_number(port.tensor.type, number(name, j, count, has_usual_numbers, random), random, data + j * element);
    sizes.push_back(0);  // not empty
    // Two inputs have the same name where the file has a NUL in one: the first is set twice, which may not fit.
    if (mbert_set_input(run, port.name, port.tensor.type, static_cast<int>(sizes.size()) - 1, sizes.data(), data))
      EXPECT(std::strstr(mbert_error(), "; expected "), "an input is refused: %s", mbert_error());
  }
  return true;
}
