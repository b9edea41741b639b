// The target of the campaign: it loads a file in the standalone runtime, and runs what the runtime accepts.
#include <cstring>
#include <string>

#include "finding.h"
#include "inputs.h"
#include "limited_memory.h"
#include "standalone/host/memory.h"

namespace {

// A file may take this much memory when it is loaded: so much for each of its bytes, and so much for anything.
constexpr size_t LOADED_PER_BYTE = 64, LOADED = size_t{32} << 20;
// What a run may have more.
constexpr size_t RUN = size_t{16} << 20;

// How far trials came.
struct Counts {
  size_t files, loaded, runs, computed;
} counts;

// A refusal is one line of printable ASCII, which says what was expected, or to use onnxruntime-web.
void check_refusal(const char* what) {
  const std::string message = mbert_error();
  EXPECT(!message.empty(), "%s failed without a message", what);
  for (const char letter : message)
    EXPECT(letter >= ' ' && letter <= '~', "a message of %s is not one line: %s", what, message.c_str());
  const bool has_advice = std::strstr(message.c_str(), "expected ") || std::strstr(message.c_str(), mbert::ADVICE);
  EXPECT(has_advice, "a message of %s has no advice: %s", what, message.c_str());
}

bool is_out_of_memory(const std::string& message) {
  const std::string end = "fewer texts in a run";
  return message.size() > end.size() && message.compare(message.size() - end.size(), end.size(), end) == 0;
}

void check_output(MbertRun* run, int index) {
  const int type = mbert_output_type(run, index), rank = mbert_output_rank(run, index);
  const int32_t* sizes = mbert_output_dims(run, index);
  EXPECT(mbert::element_bytes(type) && rank >= 0 && rank <= mbert::MAX_RANK, "an output has type %d", type);
  size_t bytes = mbert::element_bytes(type);
  for (int axis = 0; axis < rank; axis++) {
    EXPECT(sizes[axis] >= 0, "an output has a negative size");
    bytes *= static_cast<size_t>(sizes[axis]);
  }
  // The address sanitizer sees what is not the output's.
  const uint8_t* data = static_cast<const uint8_t*>(mbert_output_data(run, index));
  static volatile uint8_t read;
  constexpr size_t STEP = 4;
  for (size_t i = 0; i < bytes; i += STEP) read = data[i];
  if (bytes) read = data[bytes - 1];
}

void run_model(MbertModel* handle, Random* random) {
  const mbert::Model& model = *reinterpret_cast<const mbert::Model*>(handle);  // its first base
  limit_memory(mbert_memory() + RUN);
  MbertRun* run = mbert_run_new(handle);
  if (!run) return check_refusal("a new run");
  for (int round = 0; round < 2; round++) {
    if (!set_inputs(run, model, round == 0, random)) break;
    counts.runs++;
    if (mbert_run(run)) {
      check_refusal("a run");
    } else {
      counts.computed++;
      for (int i = 0; i < mbert_output_count(run); i++) check_output(run, i);
    }
  }
  mbert_run_release(run);
}

void check_description(MbertModel* model) {
  const char* description = mbert_describe(model);
  EXPECT(description && description[0] == '{' && description[std::strlen(description) - 1] == '}', "no description");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t before = mbert_memory();
  limit_memory(before + LOADED + LOADED_PER_BYTE * size);
  uint64_t seed = size;
  for (size_t i = 0; i < size; i++) seed = seed * 1099511628211u + data[i];
  MbertModel* model = nullptr;
  if (seed % 2) {
    uint8_t* file = static_cast<uint8_t*>(mbert_allocate(size));
    std::memcpy(file, data, size);
    model = mbert_load_owned(file, size, 1);
  } else {
    // In memory of its own, which is released when the file is loaded.
    uint8_t* file = static_cast<uint8_t*>(std::malloc(size ? size : 1));
    std::memcpy(file, data, size);
    model = mbert_load(file, size, 1);
    std::free(file);
  }
  if (!counts.files++)
    std::atexit([] {
      std::fprintf(stderr, "trials: %zu files, %zu loaded, %zu runs, %zu computed\n", counts.files, counts.loaded,
                   counts.runs, counts.computed);
    });
  if (model) {
    counts.loaded++;
    check_description(model);
    Random random(seed);
    run_model(model, &random);
    mbert_unload(model);
  } else {
    check_refusal("a file");
    EXPECT(!is_out_of_memory(mbert_error()), "a file of %zu bytes asks for too much: %s", size, mbert_error());
  }
  EXPECT(mbert_memory() == before, "memory grew by %zu bytes", mbert_memory() - before);
  return 0;
}
