// The instruction set of a module: the fastest one that the engine supports. A module has no environment that forces one.
#include "isa/known_isas.h"
#include "operators/isa_selection.h"

namespace mbert {

const Isa* chosen_isa(Message*) {
  static const Isa* chosen = nullptr;
  for (int i = 0; !chosen; i++)
    if (KNOWN[i]->is_supported()) chosen = KNOWN[i];
  return chosen;
}

}  // namespace mbert
