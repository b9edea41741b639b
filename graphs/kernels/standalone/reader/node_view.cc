#include "standalone/reader/node_view.h"

#include "standalone/host/memory.h"
#include "standalone/reader/fields.h"

namespace mbert {

Status NodeView::read(View bytes) {
  attributes = bytes;
  Wire wire(bytes);
  while (wire.next()) {
    if (wire.is(NodeField::NAME, Wire::BYTES)) name = wire.bytes;
    if (wire.is(NodeField::TYPE, Wire::BYTES)) type = wire.bytes;
    if (wire.is(NodeField::DOMAIN, Wire::BYTES)) domain = wire.bytes;
    if (wire.is(NodeField::OVERLOAD, Wire::BYTES)) overload = wire.bytes;
    inputs += wire.is(NodeField::INPUT, Wire::BYTES);
    outputs += wire.is(NodeField::OUTPUT, Wire::BYTES);
  }
  return wire.is_malformed() ? malformed("a node") : nullptr;
}

}  // namespace mbert
