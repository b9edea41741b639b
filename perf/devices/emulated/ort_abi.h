// The part of onnxruntime's C ABI that the driver uses, restated from onnxruntime_c_api.h of onnxruntime 1.29 (API 17
// and older, which every later version keeps: entries are only added at the end). tests/perf/devices/test_emulated.py
// compares every offset with the official header.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;

struct OrtApi {
  void (*entries[229])();
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

}  // extern "C"

constexpr uint32_t API_VERSION = 17;

enum Entry {
  GetErrorMessage = 2,
  CreateEnv = 3,
  CreateSession = 7,
  Run = 9,
  CreateSessionOptions = 10,
  SetIntraOpNumThreads = 24,
  SetInterOpNumThreads = 25,
  SessionGetOutputCount = 31,
  SessionGetOutputName = 37,
  CreateTensorWithDataAsOrtValue = 49,
  GetTensorMutableData = 51,
  GetTensorElementType = 60,
  GetDimensionsCount = 61,
  GetDimensions = 62,
  GetTensorShapeElementCount = 64,
  GetTensorTypeAndShape = 65,
  CreateCpuMemoryInfo = 69,
  GetAllocatorWithDefaultOptions = 78,
  ReleaseValue = 96,
  RegisterCustomOpsLibrary_V2 = 228,
};

// Values of the C API's enumerations.
constexpr int LOG_ERRORS = 3;
constexpr int ARENA_ALLOCATOR = 1;
constexpr int DEFAULT_MEMORY = 0;
constexpr int FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7, BOOL = 9, FLOAT16 = 10, DOUBLE = 11;
