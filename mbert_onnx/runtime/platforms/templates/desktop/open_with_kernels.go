// Package kernels opens a model with mbert's native kernels, by onnxruntime's C API: its packages for Go have no call for it.
package kernels

/*
#include <onnxruntime_c_api.h>

static OrtStatus* open_with_kernels(OrtEnv* env, const ORTCHAR_T* model, const ORTCHAR_T* library, OrtSession** session) {
  const OrtApi* ort = OrtGetApiBase()->GetApi(17);
  OrtSessionOptions* options = NULL;
  OrtStatus* status = ort->CreateSessionOptions(&options);
  if (!status) status = ort->RegisterCustomOpsLibrary_V2(options, library);
  if (!status) status = ort->CreateSession(env, model, options, session);
  ort->ReleaseSessionOptions(options);
  return status;
}
*/
import "C"

// OpenWithKernels returns a session; `library` is the path of the library for this system and processor.
func OpenWithKernels(env *C.OrtEnv, model, library *C.ORTCHAR_T) (session *C.OrtSession, status *C.OrtStatus) {
	status = C.open_with_kernels(env, model, library, &session)
	return
}
