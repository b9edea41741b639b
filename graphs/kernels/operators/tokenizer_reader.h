// The settings and tables of a tokenizer, from the attributes and inputs of a node.
#pragma once

#include "ort/ort.h"
#include "text/tables.h"

namespace mbert {

// The tables, which are the last inputs of a node, in their order.
enum Table { BLOCKS, CLASSES, EXPANSIONS, RAW_SYMBOLS, CLASS_FLAGS, SYMBOL_FLAGS, ADDED, CHECK, BASE, ENTRIES, LENGTHS };
constexpr int TABLES = LENGTHS + 1;

// Reads the attributes of a node that is being created. The form of `settings` is set before. Allocates `parts`, which the
// caller releases, also after an error.
Status read_settings(const Ort& ort, const OrtKernelInfo* info, const char* name, Settings* settings,
                     TemplatePart** parts);

// Checks types and shapes of the tables, and whether they fit together, and sets them.
Status set_tables(const Ort& ort, const char* name, const Tensor* tensors, Tokenizer* tokenizer);

}  // namespace mbert
