// Package kernels opens a model with mbert's native kernels, by onnxruntime's C API.
//
// onnxruntime_c_api.h and the library are found by CGO_CFLAGS=-I... and CGO_LDFLAGS=-L...
package kernels

/*
#cgo LDFLAGS: -lonnxruntime
#include <onnxruntime_c_api.h>
#include <stdlib.h>

static const OrtApi* mbert_api(void) { return OrtGetApiBase()->GetApi(17); }

static OrtStatus* mbert_open(const OrtApi* ort, void* env, const void* model, const void* library, void** session) {
  OrtSessionOptions* options = NULL;
  OrtStatus* status = ort->CreateSessionOptions(&options);
  if (!status) status = ort->RegisterCustomOpsLibrary_V2(options, (const ORTCHAR_T*)library);
  if (!status) status = ort->CreateSession((OrtEnv*)env, (const ORTCHAR_T*)model, options, (OrtSession**)session);
  ort->ReleaseSessionOptions(options);
  return status;
}

static const char* mbert_message(const OrtApi* ort, const OrtStatus* status) { return ort->GetErrorMessage(status); }
static void mbert_release(const OrtApi* ort, OrtStatus* status) { ort->ReleaseStatus(status); }
*/
import "C"

import (
	"errors"
	"runtime"
	"unicode/utf16"
	"unsafe"
)

// OpenWithKernels returns an OrtSession*; env is an OrtEnv*. They are unsafe pointers, because the types of C are those of
// one package of Go. library is the path of the library for this system and processor.
func OpenWithKernels(env unsafe.Pointer, model, library string) (session unsafe.Pointer, err error) {
	ort := C.mbert_api()
	if ort == nil {
		return nil, errors.New("onnxruntime is too old; expected 1.17 or newer")
	}
	modelPath, libraryPath := ortPath(model), ortPath(library)
	defer C.free(modelPath)
	defer C.free(libraryPath)
	if status := C.mbert_open(ort, env, modelPath, libraryPath, &session); status != nil {
		defer C.mbert_release(ort, status)
		return nil, errors.New(C.GoString(C.mbert_message(ort, status)))
	}
	return session, nil
}

// ortPath returns a path in C's memory as an ORTCHAR_T*: UTF-16 on Windows, UTF-8 elsewhere.
func ortPath(path string) unsafe.Pointer {
	if runtime.GOOS != "windows" {
		return unsafe.Pointer(C.CString(path))
	}
	units := append(utf16.Encode([]rune(path)), 0)
	memory := C.malloc(C.size_t(2 * len(units)))
	copy(unsafe.Slice((*uint16)(memory), len(units)), units)
	return memory
}
