// The JSON that describes a model.
#include "standalone/model/model.h"

namespace mbert {

namespace {

// A text that is written twice: first to count its bytes, then to a memory of that size.
class Text {
 public:
  explicit Text(char* memory) : memory_(memory) {}

  Text& operator<<(const char* text) {
    while (*text) put(*text++);
    return *this;
  }
  Text& operator<<(int64_t number) { return *this << (Message() << number).text(); }

  // Writes a string with its quotes.
  Text& quoted(const char* text) {
    put('"');
    for (; *text; text++) {
      const unsigned char letter = static_cast<unsigned char>(*text);
      if (letter < ' ') {
        constexpr const char* DIGITS = "0123456789abcdef";
        *this << "\\u00";
        put(DIGITS[letter >> 4]);
        put(DIGITS[letter & 15]);
        continue;
      }
      if (letter == '"' || letter == '\\') put('\\');
      put(*text);
    }
    put('"');
    return *this;
  }
  void put(char letter) {
    if (memory_) memory_[length] = letter;
    length++;
  }

  size_t length = 0;

 private:
  char* memory_;
};

// The names of element types, by ONNX's numbers.
constexpr const char* NAMES[] = {"",     "float32", "uint8", "int8", "uint16",  "int16",
                                 "int32", "int64",  "",      "bool", "float16", "float64"};

void write_ports(const Model& model, const Array<Port>& ports, bool are_inputs, Text* text) {
  for (size_t i = 0; i < ports.size(); i++) {
    const Port& port = ports[i];
    *text << (i ? ", " : "") << "{\"name\": ";
    text->quoted(port.name) << ", \"type\": \"" << NAMES[port.tensor.type] << "\", \"shape\": ";
    if (port.tensor.rank < 0) *text << "null";
    for (int axis = 0; axis < port.tensor.rank; axis++) {
      *text << (axis ? ", " : "[");
      if (port.tensor.sizes[axis] >= 0)
        *text << port.tensor.sizes[axis];
      else
        text->quoted(port.size_names[axis]);
    }
    if (port.tensor.rank >= 0) *text << (port.tensor.rank ? "]" : "[]");
    if (are_inputs)
      *text << ", \"optional\": " << (model.values[static_cast<size_t>(port.value)].tensor.data ? "true" : "false");
    *text << "}";
  }
}

void write(const Model& model, Text* text) {
  *text << "{\"inputs\": [";
  write_ports(model, model.inputs, true, text);
  *text << "], \"outputs\": [";
  write_ports(model, model.outputs, false, text);
  *text << "], \"metadata\": {";
  for (size_t i = 0; i < model.metadata.size(); i++) {
    *text << (i ? ", " : "");
    text->quoted(model.metadata[i].key) << ": ";
    text->quoted(model.metadata[i].value);
  }
  *text << "}}";
  text->put(0);
}

}  // namespace

const char* describe(Model* model) {
  if (model->description) return model->description;
  Text counted(nullptr);
  write(*model, &counted);
  char* memory = nullptr;
  if (allocate_array(counted.length, &memory)) return nullptr;
  Text text(memory);
  write(*model, &text);
  return model->description = memory;
}

}  // namespace mbert
