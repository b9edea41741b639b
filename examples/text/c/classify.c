/* Prints the labels of a text. A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
   ./classify BUNDLE/onnx/model_text.onnx BUNDLE/labels.txt "A warm, funny and deeply moving film." */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OrtApi* ort;
static void check(OrtStatus* status) {
  if (!status) return;
  fprintf(stderr, "classify: %s\n", ort->GetErrorMessage(status));
  exit(1);
}

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: classify MODEL LABELS TEXT\n"), 2;
  static char names[1000][100];
  int64_t count = 0, length = strlen(argv[3]), max_length = 512, one = 1, *labels;
  FILE* lines = fopen(argv[2], "r");
  while (lines && count < 1000 && fscanf(lines, "%99[^\n]\n", names[count]) == 1) count++;

  ort = OrtGetApiBase()->GetApi(17);
  OrtEnv* env;
  OrtSession* session;
  OrtSessionOptions* options;
  OrtMemoryInfo* cpu;
  OrtValue *given[2], *found[2] = {NULL, NULL};
  const char *inputs[] = {"text", "max_length"}, *outputs[] = {"labels", "scores"};
  float* scores;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "classify", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->CreateSession(env, argv[1], options, &session));
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu));
  check(ort->CreateTensorWithDataAsOrtValue(cpu, argv[3], length, &length, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, given));
  check(ort->CreateTensorWithDataAsOrtValue(cpu, &max_length, 8, &one, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, given + 1));
  check(ort->Run(session, NULL, inputs, (const OrtValue* const*)given, 2, outputs, 2, found));
  check(ort->GetTensorMutableData(found[0], (void**)&labels));
  check(ort->GetTensorMutableData(found[1], (void**)&scores));
  for (int i = 0; i < count; i++) printf("%.4f %s\n", scores[i], names[labels[i]]);
}
