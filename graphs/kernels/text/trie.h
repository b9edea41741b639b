// A walk through the double array: from a root along symbols, as far as there are children.
#pragma once

#include "text/tables.h"

namespace mbert {

// The most symbols of an entry: `lengths` holds no larger number.
constexpr int LONGEST_ENTRY = 255;

class Walk {
 public:
  Walk(const Tables& tables, int32_t root) : tables_(tables), base_(root) {}

  // Goes on along a symbol. Returns false where the walk is over.
  bool step(uint32_t symbol) {
    // A slot outside of the array, also one of a negative base, is no child.
    const uint32_t slot = static_cast<uint32_t>(base_) + symbol;
    if (slot >= tables_.slots || tables_.check[slot] != symbol || steps_ == LONGEST_ENTRY) return false;
    slot_ = slot;
    base_ = tables_.base[slot];
    steps_++;
    return true;
  }

  // Returns the number of symbols of the longest entry on the way, and sets the entry; 0 if there is none. Returns −1
  // where the tables are no tries.
  int longest(int32_t* entry) const {
    if (!steps_) return 0;
    if (slot_ >= tables_.entry_slots || tables_.lengths[slot_] > steps_) return -1;
    *entry = tables_.entries[slot_];
    return tables_.lengths[slot_];
  }

 private:
  const Tables& tables_;
  int32_t base_;
  uint32_t slot_ = 0;
  int steps_ = 0;
};

}  // namespace mbert
