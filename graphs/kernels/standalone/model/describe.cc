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

const char* name_of(int type) {
  switch (type) {
    case FLOAT: return "float32";
    case UINT8: return "uint8";
    case INT8: return "int8";
    case UINT16: return "uint16";
    case INT16: return "int16";
    case INT32: return "int32";
    case INT64: return "int64";
    case BOOL: return "bool";
    case FLOAT16: return "float16";
    default: return "float64";
  }
}

void write_ports(const Model& model, const Array<Port>& ports, bool are_inputs, Text* text) {
  for (size_t i = 0; i < ports.size(); i++) {
    const Port& port = ports[i];
    *text << (i ? ", " : "") << "{\"name\": ";
    text->quoted(port.name) << ", \"type\": \"" << name_of(port.type) << "\", \"shape\": ";
    if (port.rank < 0) *text << "null";
    for (int axis = 0; axis < port.rank; axis++) {
      *text << (axis ? ", " : "[");
      if (port.sizes[axis] >= 0)
        *text << port.sizes[axis];
      else
        text->quoted(port.size_names[axis]);
    }
    if (port.rank >= 0) *text << (port.rank ? "]" : "[]");
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
