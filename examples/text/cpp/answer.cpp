// Prints the best answers to a question. A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// ./answer BUNDLE "Who wrote it?" "It was written by Ada in 1843."
#include <onnxruntime_cxx_api.h>

#include <iomanip>
#include <iostream>
#include <string>

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "usage: answer BUNDLE QUESTION CONTEXT\n", 2;
  std::string model = std::string(argv[1]) + "/onnx/model_text.onnx", question = argv[2], context = argv[3];
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR);
  Ort::Session session(env, model.c_str(), Ort::SessionOptions());

  auto cpu = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto bytes = [&](std::string& text) {
    const int64_t size = static_cast<int64_t>(text.size());
    return Ort::Value::CreateTensor(cpu, reinterpret_cast<uint8_t*>(text.data()), text.size(), &size, 1);
  };
  int64_t max_length = 384, one = 1;  // as in the training of models for SQuAD; a longer context is read in windows
  const char* inputs[] = {"text", "context", "max_length"};
  const char* outputs[] = {"spans", "scores"};
  Ort::Value given[] = {bytes(question), bytes(context), Ort::Value::CreateTensor(cpu, &max_length, 1, &one, 1)};
  auto found = session.Run(Ort::RunOptions(), inputs, given, 3, outputs, 2);

  const int64_t* spans = found[0].GetTensorData<int64_t>();  // [1, answers, 2], bytes of the context
  const float* scores = found[1].GetTensorData<float>();     // [1, answers], -1 behind the last
  const int64_t answers = found[1].GetTensorTypeAndShapeInfo().GetShape()[1];
  for (int64_t i = 0; i < answers && scores[i] >= 0; i++) {
    const std::string answer = context.substr(spans[2 * i], spans[2 * i + 1] - spans[2 * i]);
    std::cout << std::fixed << std::setprecision(4) << scores[i] << " " << answer << "\n";
  }
} catch (const Ort::Exception& error) {
  std::cerr << "answer: " << error.what() << "\n";
  return 1;
}
