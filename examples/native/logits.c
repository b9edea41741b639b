/* Run a bundle's question-answering model in C, with the native kernels or without.
 *
 *   curl -LO https://github.com/microsoft/onnxruntime/releases/download/v1.30.0/onnxruntime-linux-x64-1.30.0.tgz
 *   tar xzf onnxruntime-linux-x64-1.30.0.tgz
 *   cc -I onnxruntime-linux-x64-1.30.0/include logits.c -L onnxruntime-linux-x64-1.30.0/lib -l onnxruntime -o logits
 *   export LD_LIBRARY_PATH=$PWD/onnxruntime-linux-x64-1.30.0/lib
 *   ./logits BUNDLE/onnx/model_int8.onnx libmbert_kernels.so 101 2040 102      (token ids)
 *   ./logits BUNDLE/onnx/model_int8.onnx - 101 2040 102                        (without the kernels)
 *
 * The first line fetches onnxruntime's C header, onnxruntime_c_api.h, with its library: the onnxruntime package on PyPI has
 * neither in a form that a C program can use. The page of releases, https://github.com/microsoft/onnxruntime/releases, has
 * archives for other systems and processors; any version from 1.17 on serves. `mbert-onnx kernels` prints the path of the
 * native kernels.
 */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OrtApi* ort;

static void check(OrtStatus* status) {
  if (!status) return;
  fprintf(stderr, "logits: %s\n", ort->GetErrorMessage(status));
  ort->ReleaseStatus(status);
  exit(1);
}

/* Returns a path as onnxruntime takes it: wide characters on Windows. */
static const ORTCHAR_T* path_of(const char* given) {
#ifdef _WIN32
  wchar_t* wide = calloc(strlen(given) + 1, sizeof(wchar_t));
  mbstowcs(wide, given, strlen(given));
  return wide;
#else
  return given;
#endif
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: logits MODEL LIBRARY|- ID...\n");
    return 2;
  }
  ort = OrtGetApiBase()->GetApi(17);
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  OrtMemoryInfo* cpu;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "logits", &env));
  check(ort->CreateSessionOptions(&options));
  if (strcmp(argv[2], "-")) check(ort->RegisterCustomOpsLibrary_V2(options, path_of(argv[2])));
  check(ort->CreateSession(env, path_of(argv[1]), options, &session));
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu));

  const size_t length = argc - 3;
  const int64_t shape[] = {1, (int64_t)length};
  const char* inputs[] = {"input_ids", "attention_mask", "token_type_ids"};
  const char* outputs[] = {"start_logits", "end_logits"};
  int64_t* rows = calloc(3 * length, sizeof(int64_t));
  OrtValue* given[3];
  OrtValue* found[2] = {NULL, NULL};
  for (size_t i = 0; i < length; i++) {
    rows[i] = atoll(argv[3 + i]);
    rows[length + i] = 1;
  }
  for (int i = 0; i < 3; i++)
    check(ort->CreateTensorWithDataAsOrtValue(cpu, rows + i * length, length * sizeof(int64_t), shape, 2,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &given[i]));
  check(ort->Run(session, NULL, inputs, (const OrtValue* const*)given, 3, outputs, 2, found));

  for (int i = 0; i < 2; i++) {
    float* logits;
    check(ort->GetTensorMutableData(found[i], (void**)&logits));
    printf("%s", outputs[i]);
    for (size_t j = 0; j < length; j++) printf(" %.9g", logits[j]);
    printf("\n");
    ort->ReleaseValue(found[i]);
  }
  for (int i = 0; i < 3; i++) ort->ReleaseValue(given[i]);
  free(rows);
  ort->ReleaseMemoryInfo(cpu);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(env);
  return 0;
}
