// The driver, a program for the emulated machine: runs a model in onnxruntime, and counts the instructions of a run.
//
//   driver RUNTIME [MODEL LIBRARY|- COUNT|- JOB...]
//
// RUNTIME is libonnxruntime, whose version it prints. LIBRARY is a library of custom operators. COUNT is the file to
// which the emulator writes the instructions of each process that ends, or "-" for none. A JOB is a folder. Its file
// `inputs` has one line for each input: name, element type (onnxruntime's number), size in bytes, rank and dimensions;
// the data is in `input0` and so on. The driver writes `outputs`, in the same format without names, and `output0` and
// so on, and prints a line: the job, and the instructions of a run after the first.
//
// The model is loaded once, and a forked copy of the process does each job, so all jobs start from the same memory. The
// instructions of a run are the difference between a copy that runs the model once more and one that does not.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ort_abi.h"

namespace {

constexpr int MAX_COUNT = 16;  // inputs, outputs and dimensions

const OrtApi* api;

[[noreturn]] void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

// Calls a function of the C API that returns a status, and fails with its message.
template <class... Arguments>
void call(Entry number, Arguments... arguments) {
  auto function = reinterpret_cast<OrtStatus* (*)(Arguments...)>(api->entries[number]);
  if (OrtStatus* status = function(arguments...)) {
    auto message = reinterpret_cast<const char* (*)(const OrtStatus*)>(api->entries[GetErrorMessage]);
    fail("onnxruntime", message(status));
  }
}

FILE* open(const char* folder, const char* name, int number, const char* mode) {
  char path[4096];
  if (number < 0) snprintf(path, sizeof path, "%s/%s", folder, name);
  else snprintf(path, sizeof path, "%s/%s%d", folder, name, number);
  FILE* file = fopen(path, mode);
  if (!file) fail(path, "cannot be opened");
  return file;
}

struct Named {
  int count = 0;
  char names[MAX_COUNT][256];
  const char* pointers[MAX_COUNT];
  OrtValue* values[MAX_COUNT] = {};
};

void read_inputs(const char* job, Named* inputs) {
  OrtMemoryInfo* memory = nullptr;
  call(CreateCpuMemoryInfo, ARENA_ALLOCATOR, DEFAULT_MEMORY, &memory);
  FILE* list = open(job, "inputs", -1, "r");
  int type, rank;
  size_t bytes;
  for (int& n = inputs->count; n < MAX_COUNT; ++n) {
    if (fscanf(list, "%255s %d %zu %d", inputs->names[n], &type, &bytes, &rank) != 4 || rank > MAX_COUNT) break;
    int64_t sizes[MAX_COUNT];
    for (int axis = 0; axis < rank; ++axis)
      if (fscanf(list, "%ld", &sizes[axis]) != 1) fail(job, "inputs is cut off");
    void* data = malloc(bytes ? bytes : 1);
    FILE* file = open(job, "input", n, "rb");
    if (fread(data, 1, bytes, file) != bytes) fail(job, "an input is cut off");
    fclose(file);
    inputs->pointers[n] = inputs->names[n];
    call(CreateTensorWithDataAsOrtValue, static_cast<const OrtMemoryInfo*>(memory), data, bytes,
         static_cast<const int64_t*>(sizes), static_cast<size_t>(rank), type, &inputs->values[n]);
  }
  fclose(list);
}

void name_outputs(const OrtSession* session, Named* outputs) {
  OrtAllocator* allocator = nullptr;
  size_t count = 0;
  call(GetAllocatorWithDefaultOptions, &allocator);
  call(SessionGetOutputCount, session, &count);
  if (count > MAX_COUNT) fail("the model", "has too many outputs");
  for (size_t n = 0; n < count; ++n) {
    char* name = nullptr;
    call(SessionGetOutputName, session, n, allocator, &name);
    outputs->pointers[n] = name;
  }
  outputs->count = static_cast<int>(count);
}

size_t bytes_of(int type) {
  switch (type) {
    case UINT8: case INT8: case BOOL: return 1;
    case FLOAT16: return 2;
    case FLOAT: case INT32: return 4;
    case INT64: case DOUBLE: return 8;
    default: fail("an output", "has an unsupported element type");
  }
}

void write_outputs(const char* job, const Named& outputs) {
  FILE* list = open(job, "outputs", -1, "w");
  for (int n = 0; n < outputs.count; ++n) {
    const OrtValue* value = outputs.values[n];
    OrtTensorTypeAndShapeInfo* info = nullptr;
    int type;
    size_t rank = 0, count = 0;
    int64_t sizes[MAX_COUNT];
    void* data = nullptr;
    call(GetTensorTypeAndShape, value, &info);
    const OrtTensorTypeAndShapeInfo* shape = info;
    call(GetTensorElementType, shape, &type);
    call(GetDimensionsCount, shape, &rank);
    if (rank > MAX_COUNT) fail("an output", "has too many dimensions");
    call(GetDimensions, shape, static_cast<int64_t*>(sizes), rank);
    call(GetTensorShapeElementCount, shape, &count);
    call(GetTensorMutableData, const_cast<OrtValue*>(value), &data);
    const size_t bytes = count * bytes_of(type);
    fprintf(list, "%d %zu %zu", type, bytes, rank);
    for (size_t axis = 0; axis < rank; ++axis) fprintf(list, " %ld", sizes[axis]);
    fprintf(list, "\n");
    FILE* file = open(job, "output", n, "wb");
    if (fwrite(data, 1, bytes, file) != bytes || fclose(file)) fail(job, "cannot write an output");
  }
  if (fclose(list)) fail(job, "cannot write outputs");
}

void run(OrtSession* session, const Named& inputs, Named* outputs) {
  auto release = reinterpret_cast<void (*)(OrtValue*)>(api->entries[ReleaseValue]);
  for (int n = 0; n < outputs->count; ++n) {
    release(outputs->values[n]);
    outputs->values[n] = nullptr;
  }
  call(Run, session, static_cast<const void*>(nullptr), static_cast<const char* const*>(inputs.pointers),
       static_cast<const OrtValue* const*>(inputs.values), static_cast<size_t>(inputs.count),
       static_cast<const char* const*>(outputs->pointers), static_cast<size_t>(outputs->count),
       static_cast<OrtValue**>(outputs->values));
}

// Runs `work` in a forked copy of this process, which exits without cleaning up.
template <class Work>
void in_a_copy(const char* what, Work work) {
  fflush(stdout);
  const pid_t copy = fork();
  if (copy < 0) fail("fork", "failed");
  if (!copy) {
    work();
    fflush(stdout);
    _exit(0);
  }
  int status;
  if (waitpid(copy, &status, 0) != copy || status) fail(what, "failed in a forked copy");
}

// Reads and removes the instruction count of the process that ended last.
unsigned long long counted(const char* file) {
  unsigned long long count = 0;
  FILE* opened = fopen(file, "r");
  if (!opened || fscanf(opened, "%llu", &count) != 1) fail(file, "the emulator wrote no count");
  fclose(opened);
  remove(file);
  return count;
}

void do_job(OrtSession* session, const char* job, const char* count, Named* outputs) {
  Named inputs;
  read_inputs(job, &inputs);
  run(session, inputs, outputs);
  write_outputs(job, *outputs);
  if (!strcmp(count, "-")) return;
  in_a_copy(job, [] {});
  const unsigned long long without = counted(count);
  in_a_copy(job, [&] { run(session, inputs, outputs); });
  printf("%s %llu\n", job, counted(count) - without);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc == 3 || argc == 4) fail("usage", "driver RUNTIME [MODEL LIBRARY|- COUNT|- JOB...]");
  void* runtime = dlopen(argv[1], RTLD_NOW);
  if (!runtime) fail("loading", dlerror());
  auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(runtime, "OrtGetApiBase"));
  if (!base) fail(argv[1], "is not a library of onnxruntime");
  api = base()->GetApi(API_VERSION);
  if (!api) fail(argv[1], "is too old; expected onnxruntime 1.17 or newer");
  printf("%s\n", base()->GetVersionString());
  if (argc == 2) return 0;

  OrtEnv* env = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  call(CreateEnv, LOG_ERRORS, "driver", &env);
  call(CreateSessionOptions, &options);
  call(SetIntraOpNumThreads, options, 1);
  call(SetInterOpNumThreads, options, 1);  // a forked copy has only the thread that forked
  if (strcmp(argv[3], "-")) call(RegisterCustomOpsLibrary_V2, options, static_cast<const char*>(argv[3]));
  call(CreateSession, static_cast<const OrtEnv*>(env), static_cast<const char*>(argv[2]),
       static_cast<const OrtSessionOptions*>(options), &session);
  Named outputs;
  name_outputs(session, &outputs);

  for (int n = 5; n < argc; ++n) in_a_copy(argv[n], [&] { do_job(session, argv[n], argv[4], &outputs); });
  // Not `return`: onnxruntime's clean-up would only take time.
  fflush(stdout);
  _exit(0);
}
