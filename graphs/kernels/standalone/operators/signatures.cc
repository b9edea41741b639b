#include "standalone/operators/operator.h"

namespace mbert {

namespace {

Message& operator<<(Message& message, const AttributeRule& rule) {
  switch (rule.kind) {
    case AttributeRule::INTEGER: return message << "an integer";
    case AttributeRule::REAL: return message << "a number";
    case AttributeRule::LIST: return message << "a list of integers";
    case AttributeRule::WORD: return message << "one of " << rule.words;
    default: return message << rule.standard;
  }
}

// Returns the place of a word among words that each end with a space; −1 where it is none of them.
int place_of(const View& word, const char* words) {
  for (int place = 0; *words; place++) {
    const char* end = words;
    while (*end != ' ') end++;
    if (word == View(words, static_cast<size_t>(end - words))) return place;
    words = end + 1;
  }
  return -1;
}

Status set_attribute(const NodeView& view, const Attribute& attribute, const AttributeRule& rule, Arena* arena,
                     GraphNode* node, int64_t* number) {
  bool is_valid = false;
  switch (rule.kind) {
    case AttributeRule::INTEGER:
    case AttributeRule::FIXED:
      is_valid = attribute.kind == Attribute::INTEGER &&
                 (rule.kind == AttributeRule::INTEGER || attribute.integer == rule.standard);
      *number = attribute.integer;
      break;
    case AttributeRule::REAL:
      is_valid = attribute.kind == Attribute::REAL;
      *number = attribute.real_bits();
      break;
    case AttributeRule::WORD:
      *number = place_of(attribute.text, rule.words);
      is_valid = attribute.kind == Attribute::TEXT && *number >= 0;
      break;
    case AttributeRule::LIST: {
      is_valid = attribute.kind == Attribute::INTEGERS && attribute.count <= MAX_RANK;
      if (!is_valid) break;
      int64_t* list = nullptr;
      TRY(arena->take(attribute.count, &list));
      TRY(read_integers(view.attributes, rule.name, list, attribute.count));
      node->list = list;
      node->list_count = static_cast<int>(attribute.count);
    }
  }
  if (is_valid) return nullptr;
  return fail(about_node(view) << "the attribute " << rule.name << " has another value or kind; expected " << rule
                      << "" << ADVICE);
}

// The types that a letter of a signature stands for.
uint32_t types_of(char letter, uint32_t types) {
  switch (letter) {
    case 'T': return types;
    case 'L': return type_bit(INT64);
    case 'I': return type_bit(INT64) | type_bit(INT32);
    case 'B': return type_bit(BOOL);
    case 'F': return type_bit(FLOAT);
    case 'U': return type_bit(UINT8);
    case 'J': return type_bit(INT32);
    case 'Q': return type_bit(UINT8) | type_bit(INT8);
    default: return ANY_TYPE;
  }
}

// Returns the only type of a set.
int only_type(uint32_t types) { return __builtin_ctz(types); }

}  // namespace

Message& about(const char* name, const char* type) {
  return failure() << "node " << View(name) << " (" << View(type) << "): ";
}

Message& about_node(const NodeView& view) {
  Message& message = failure() << "node " << view.name << " (";
  if (view.domain.size) message << view.domain << ".";
  return message << view.type << "): ";
}

Status fail_within(const char* name, const char* type) {
  Message reason;
  reason << last_error();
  return fail(about(name, type) << reason.text());
}

Status read_attributes(const NodeView& view, Arena* arena, GraphNode* node) {
  const Operator& type = *node->standard;
  node->list_count = -1;
  for (int i = 0, place = 0; i < type.rule_count; i++) {
    const AttributeRule& rule = type.rules[i];
    int64_t number = rule.standard;
    Attribute attribute;
    TRY(find_attribute(view.attributes, rule.name, &attribute));
    if (attribute.kind != Attribute::MISSING) {
      TRY(set_attribute(view, attribute, rule, arena, node, &number));
    } else if (rule.is_required) {
      return fail(about_node(view) << "the attribute " << rule.name << " is missing; expected " << rule);
    }
    if (rule.kind != AttributeRule::LIST && rule.kind != AttributeRule::FIXED) node->attributes[place++] = number;
  }
  Wire wire(view.attributes);
  while (wire.next()) {
    if (!wire.is(5, Wire::BYTES)) continue;
    Attribute attribute;
    TRY(read_attribute(wire.bytes, &attribute));
    bool is_known = false;
    for (int i = 0; i < type.rule_count; i++) is_known = is_known || attribute.name.is(type.rules[i].name);
    if (!is_known)
      return fail(about_node(view) << "the attribute " << attribute.name << " is not one that the runtime has" << ADVICE);
  }
  return nullptr;
}

Status check_types(Loading& node) {
  const Operator& type = *node.node.standard;
  const char* letter = type.signature;
  int own = UNDEFINED;  // T
  const auto about_this = [&]() -> Message& { return about(node.node.name, node.node.type); };
  for (int i = 0; i < node.node.input_count; i++) {
    if (*letter == '*') letter--;
    const bool is_optional = *letter >= 'a';
    if (*letter == '>')
      return fail(about_this() << "there are " << node.node.input_count << " inputs; expected at most " << i);
    const char upper = is_optional ? static_cast<char>(*letter - 'a' + 'A') : *letter;
    letter++;
    if (!node.has(i)) {
      if (is_optional) continue;
      return fail(about_this() << "input " << i << " is missing; expected it");
    }
    const int found = node.input(i).type;
    if (!is_in(found, upper == 'T' && own ? type_bit(own) : types_of(upper, type.types)))
      return fail(about_this() << "input " << i << " has the element type " << found << " of ONNX"
                                      << (upper == 'T' && own ? ", which the first one has not" : "")
                                      << "; expected a type that the runtime has" << ADVICE);
    if (upper == 'T') own = found;
  }
  if (*letter == '*') letter++;
  for (; *letter != '>'; letter++)
    if (*letter < 'a') return fail(about_this() << "there are " << node.node.input_count << " inputs; expected more");
  letter++;
  for (int i = 0; i < node.node.output_count; i++, letter++) {
    if (*letter == '*') letter--;
    if (!*letter) return fail(about_this() << "there are " << node.node.output_count << " outputs; expected " << i);
    if (node.node.outputs[i] < 0 || *letter == '?') continue;
    node.output(i).type = *letter == 'T' ? own : only_type(types_of(*letter, 0));
  }
  return nullptr;
}

}  // namespace mbert
