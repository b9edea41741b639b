// Opens a model with mbert's native kernels. `library` is the path of the library for this system and processor.
#include <onnxruntime_cxx_api.h>

Ort::Session open_with_kernels(Ort::Env& env, const ORTCHAR_T* model, const ORTCHAR_T* library) {
  Ort::SessionOptions options;
  options.RegisterCustomOpsLibrary(library);
  return Ort::Session(env, model, options);
}
