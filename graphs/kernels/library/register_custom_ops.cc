// RegisterCustomOps: the entry point that onnxruntime calls in a library of custom operators. It is in a file of its own, so
// that a linker takes it from a static library only where a program calls it; other libraries have the same name.
#include "library/exported.h"

OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  return mbert_kernels_register(options, base);
}
