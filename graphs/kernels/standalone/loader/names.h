// The values that names stand for: in the graph, and in each call of a function.
#pragma once

#include "standalone/model/array.h"

namespace mbert {

// A hash table with open addressing.
class Names {
 public:
  static constexpr int32_t NONE = -2;

  // Returns the value of a name in a scope; NONE where it has none.
  int32_t find(uint32_t scope, const View& name) const;
  // Adds a name, which must not be there.
  Status add(uint32_t scope, const View& name, int32_t value);

 private:
  struct Entry {
    View name;
    uint32_t scope, hash;
    int32_t value;
  };

  static uint32_t hash(uint32_t scope, const View& name);
  Status rebuild();

  Array<Entry> entries_;
  Array<int32_t> places_;  // indices of entries, −1: free; their number is a power of two
};

}  // namespace mbert
