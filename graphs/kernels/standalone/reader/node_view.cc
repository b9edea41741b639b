#include "standalone/reader/node_view.h"

#include "standalone/reader/fields.h"

namespace mbert {

Status NodeView::read(const View& bytes) {
  static constexpr FieldRule RULES[] = {{bytes_tag(NodeField::NAME), __builtin_offsetof(NodeView, name)},
                                        {bytes_tag(NodeField::TYPE), __builtin_offsetof(NodeView, type)},
                                        {bytes_tag(NodeField::DOMAIN), __builtin_offsetof(NodeView, domain)},
                                        {bytes_tag(NodeField::OVERLOAD), __builtin_offsetof(NodeView, overload)}};
  attributes = bytes;
  return read_fields(bytes, RULES, this, "a node");
}

bool next_field(Wire* wire, uint32_t field) {
  while (wire->next())
    if (wire->is(field, Wire::BYTES)) return true;
  return false;
}

int count_fields(const View& message, uint32_t field) {
  int count = 0;
  for (Wire wire(message); next_field(&wire, field);) count++;
  return count;
}

}  // namespace mbert
