// The memory of the file that is being loaded. Where the loader owns it, it is released from its front on, as nodes copy
// weights, so that packed weights take the place of the file's.
#pragma once

#include "standalone/model/model.h"

namespace mbert {

class FileMemory {
 public:
  // `owned`: the file, in memory that is released at last; null where it is the caller's.
  FileMemory(Model* model, void* owned) : model_(*model), rest_(static_cast<char*>(owned)) {}
  FileMemory(const FileMemory&) = delete;
  FileMemory& operator=(const FileMemory&) = delete;
  ~FileMemory() { release_memory(rest_); }

  bool is_owned() const { return rest_ != nullptr; }
  // From now on, nothing is read of the file up to the last initializer but initializers, whose readers are counted. They are
  // the values of the model until now.
  void start_release() { count_ = model_.values.size(); }
  // One reader has copied a value. Where it was the last one, the file is released up to the end of that initializer; those
  // before it that are still read are copied.
  Status has_copied(int32_t value);

 private:
  Model& model_;
  char* rest_;  // of the file's memory
  size_t count_ = 0, released_ = 0;  // initializers that are released at last, and that are released
};

}  // namespace mbert
