// Mutations of model files: beside libFuzzer's of bytes, those of fields, which leave a valid file in most cases, so
// that they reach the loader and the operators.
#include <cstring>
#include <map>

#include "messages.h"
#include "standalone/model/elements.h"
#include "standalone/reader/fields.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

using namespace mbert;

namespace {

// The runtime's operators, and the names of attributes, as the build found them in its sources.
constexpr const char* OPERATORS[] = {
#include "operators.inc"
};
constexpr const char* ATTRIBUTES[] = {
#include "attributes.inc"
};

constexpr int TYPES[] = {FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16, DOUBLE, UINT16, INT16};

// What mutations take from a file: its names, and its messages of each kind.
struct Pool {
  std::vector<std::string> names;
  std::map<Kind, std::vector<std::string>> messages;

  void collect(const std::string& message, Kind kind) {
    std::vector<Field> fields;
    read_fields(message, &fields);
    for (const Field& field : fields) {
      if (field.wire != 2) continue;
      const Kind own = kind_of(kind, field.number);
      if (own == Kind::NAME) names.push_back(field.bytes);
      if (!is_message(own)) continue;
      messages[own].push_back(field.bytes);
      collect(field.bytes, own);
    }
  }
};

Field bytes_field(uint32_t number, std::string bytes) { return {number, 2, 0, std::move(bytes)}; }
Field integer_field(uint32_t number, int64_t integer) { return {number, 0, static_cast<uint64_t>(integer), {}}; }

class Mutation {
 public:
  Mutation(const Pool& pool, Random* random) : pool_(pool), random_(*random) {}

  // Changes one field of a message, or of one within it.
  std::string change(const std::string& message, Kind kind) {
    std::vector<Field> fields;
    if (!read_fields(message, &fields)) return changed_bytes(message);
    constexpr size_t STAYS = 6;  // one in so many changes is of a message that has messages within it
    std::vector<Field*> inner;
    for (Field& field : fields)
      if (field.wire == 2 && is_message(kind_of(kind, field.number))) inner.push_back(&field);
    if (!inner.empty() && !random_.one_in(STAYS)) {
      Field& field = *random_.of(inner);
      field.bytes = change(field.bytes, kind_of(kind, field.number));
    } else if (kind == Kind::TENSOR && random_.one_in(2)) {
      change_tensor(&fields);
    } else {
      change_fields(&fields, kind);
    }
    return write_fields(fields);
  }

 private:
  void change_fields(std::vector<Field>* fields, Kind kind) {
    const size_t what = random_.below(12);
    if (fields->empty() || what == 0) return add(fields, kind);
    const size_t place = random_.below(fields->size());
    const auto at = fields->begin() + static_cast<std::ptrdiff_t>(place);
    Field& field = *at;
    if (what == 1) {
      fields->erase(at);
    } else if (what == 2) {
      fields->insert(fields->begin() + static_cast<std::ptrdiff_t>(random_.below(fields->size() + 1)), Field(field));
    } else if (what == 3) {
      std::swap(field, (*fields)[random_.below(fields->size())]);
    } else if (field.wire != 2) {
      field.integer = changed_integer(field.integer);
    } else {
      field.bytes = changed_leaf(field.bytes, kind_of(kind, field.number), kind, field.number);
    }
  }

  // Adds a field: a message of this file or of another one, a node of any operator, or a name.
  void add(std::vector<Field>* fields, Kind kind) {
    Field added{};
    if (kind == Kind::GRAPH || kind == Kind::FUNCTION) {
      added = bytes_field(kind == Kind::GRAPH ? GraphField::NODE : FunctionField::NODE, new_node());
    } else if (kind == Kind::NODE) {
      const bool is_attribute = random_.one_in(2);
      added = is_attribute ? bytes_field(NodeField::ATTRIBUTE, new_attribute()) : bytes_field(NodeField::INPUT, name());
    } else if (kind == Kind::SHAPE) {
      const Field size = integer_field(DimField::VALUE, static_cast<int64_t>(random_.below(5)));
      added = bytes_field(ShapeField::DIM, write_fields({size}));
    } else {
      added = integer_field(static_cast<uint32_t>(1 + random_.below(25)), random_.of(INTERESTING));
    }
    fields->insert(fields->begin() + static_cast<std::ptrdiff_t>(random_.below(fields->size() + 1)), added);
  }

  std::string new_node() {
    std::vector<Field> fields;
    const size_t inputs = 1 + random_.below(4), outputs = random_.one_in(4) ? 2 + random_.below(3) : 1;
    for (size_t i = 0; i < inputs; i++)
      fields.push_back(bytes_field(NodeField::INPUT, random_.one_in(12) ? "" : name()));
    for (size_t i = 0; i < outputs; i++)
      fields.push_back(bytes_field(NodeField::OUTPUT, "new_" + std::to_string(random_.below(1000))));
    fields.push_back(bytes_field(NodeField::TYPE, random_.of(OPERATORS)));
    if (random_.one_in(2)) fields.push_back(bytes_field(NodeField::ATTRIBUTE, new_attribute()));
    return write_fields(fields);
  }

  std::string new_attribute() {
    constexpr int64_t INT = 2, INTS = 7;
    const int64_t number = random_.one_in(2) ? static_cast<int64_t>(random_.below(5)) - 2 : random_.of(INTERESTING);
    std::vector<Field> fields = {bytes_field(AttributeField::NAME, random_.of(ATTRIBUTES))};
    if (random_.one_in(5)) {
      for (size_t i = random_.below(4); i > 0; i--)
        fields.push_back(integer_field(AttributeField::INTS, static_cast<int64_t>(random_.below(4))));
      fields.push_back(integer_field(AttributeField::TYPE, INTS));
    } else {
      fields.push_back(integer_field(AttributeField::INT, number));
      fields.push_back(integer_field(AttributeField::TYPE, INT));
    }
    return write_fields(fields);
  }

  // Gives a tensor another shape, type and numbers, which fit each other.
  void change_tensor(std::vector<Field>* fields) {
    constexpr int64_t SIZES[] = {0, 1, 1, 2, 3, 4, 8, 9, 33};
    std::vector<Field> changed;
    for (const Field& field : *fields)
      if (field.number == TensorField::NAME) changed.push_back(field);
    const int type = random_.of(TYPES);
    size_t count = 1;
    for (size_t i = random_.below(4); i > 0; i--) {
      const int64_t size = random_.of(SIZES);
      changed.push_back(integer_field(TensorField::DIMS, size));
      count *= static_cast<size_t>(size);
    }
    changed.push_back(integer_field(TensorField::TYPE, type));
    constexpr size_t MOST = 1024;
    if (count > MOST) return;
    std::string raw(count * element_bytes(type), 0);
    const size_t style = random_.below(3);
    for (size_t i = 0; i < raw.size(); i += element_bytes(type)) {
      const int64_t number =
          style == 2 ? random_.of(INTERESTING) : static_cast<int64_t>(random_.below(style ? 256 : 5));
      std::memcpy(&raw[i], &number, element_bytes(type));
      if (type == BOOL) raw[i] &= 1;
    }
    changed.push_back(bytes_field(TensorField::RAW, raw));
    *fields = std::move(changed);
  }

  std::string changed_leaf(const std::string& bytes, Kind own, Kind kind, uint32_t field) {
    const bool is_type = kind == Kind::NODE && field == NodeField::TYPE;
    const bool is_attribute = kind == Kind::ATTRIBUTE && field == AttributeField::NAME;
    if (is_message(own)) {
      const auto found = pool_.messages.find(own);
      return found == pool_.messages.end() ? bytes : random_.of(found->second);
    }
    if (random_.one_in(6)) return changed_bytes(bytes);
    if (own == Kind::NAME) return random_.one_in(12) ? "" : name();
    if (is_type) return random_.of(OPERATORS);
    if (is_attribute) return random_.of(ATTRIBUTES);
    if (own == Kind::BYTES && !bytes.empty()) return changed_numbers(bytes);
    return changed_bytes(bytes);
  }

  // Changes one number of a list of 8, 4, 2 or 1 bytes each.
  std::string changed_numbers(std::string bytes) {
    size_t size = size_t{1} << random_.below(4);
    while (bytes.size() % size) size /= 2;
    const int64_t number = random_.one_in(2) ? random_.of(INTERESTING) : static_cast<int64_t>(random_.below(9)) - 3;
    std::memcpy(&bytes[random_.below(bytes.size() / size) * size], &number, size);
    return bytes;
  }

  uint64_t changed_integer(uint64_t integer) {
    switch (random_.below(4)) {
      case 0: return integer + 1;
      case 1: return integer - 1;
      case 2: return random_.below(16);
      default: return static_cast<uint64_t>(random_.of(INTERESTING));
    }
  }

  std::string changed_bytes(const std::string& bytes) {
    constexpr size_t ROOM = 32;
    std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    copy.resize(bytes.size() + ROOM);
    const size_t size = LLVMFuzzerMutate(copy.data(), bytes.size(), copy.size());
    return {copy.begin(), copy.begin() + static_cast<std::ptrdiff_t>(size)};
  }

  std::string name() { return pool_.names.empty() ? "x" : random_.of(pool_.names); }

  const Pool& pool_;
  Random& random_;
};

std::string text_of(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// Stores a mutated file; returns 0 where it has no room.
size_t store(const std::string& file, uint8_t* data, size_t most) {
  if (file.size() > most || file.empty()) return 0;
  std::memcpy(data, file.data(), file.size());
  return file.size();
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  constexpr size_t PLAIN = 24;  // one in so many mutations is libFuzzer's, of bytes
  Random random(seed);
  if (random.one_in(PLAIN)) return LLVMFuzzerMutate(data, size, most);
  std::string file = text_of(data, size);
  Pool pool;
  pool.collect(file, Kind::MODEL);
  file = Mutation(pool, &random).change(file, Kind::MODEL);
  const size_t stored = store(file, data, most);
  return stored ? stored : LLVMFuzzerMutate(data, size, most);
}

// Puts messages of the second file into the first.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second,
                                            size_t second_size, uint8_t* data, size_t most, unsigned seed) {
  Random random(seed);
  Pool pool;
  pool.collect(text_of(second, second_size), Kind::MODEL);
  const std::string file = text_of(first, first_size);
  std::vector<Field> fields;
  if (!read_fields(file, &fields)) return store(file, data, most);
  for (Field& field : fields) {
    const Kind kind = kind_of(Kind::MODEL, field.number);
    if (field.wire != 2 || (kind != Kind::GRAPH && kind != Kind::FUNCTION)) continue;
    std::vector<Field> inner;
    if (!read_fields(field.bytes, &inner)) continue;
    const Field* replaced = inner.empty() ? nullptr : &random.of(inner);
    const Kind own = replaced ? kind_of(kind, replaced->number) : Kind::WORD;
    const auto found = pool.messages.find(own);
    if (found == pool.messages.end()) continue;
    Field added = bytes_field(replaced->number, random.of(found->second));
    inner.insert(inner.begin() + static_cast<std::ptrdiff_t>(random.below(inner.size() + 1)), added);
    field.bytes = write_fields(inner);
  }
  const size_t stored = store(write_fields(fields), data, most);
  return stored ? stored : store(file, data, most);
}
