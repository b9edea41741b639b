// The C interface.
#include "standalone/mbert_runtime.h"

#include "operators/isa_selection.h"
#include "operators/node.h"
#include "standalone/host/node_run.h"

using namespace mbert;

struct MbertModel : Model {};
struct MbertRun : Run {
  using Run::Run;
};

namespace {

// The port of an index; null where it is out of range, or the run has not computed it.
const Port* output_of(MbertRun* run, int index) {
  const Array<Port>& outputs = run->model.outputs;
  return run->is_done && index >= 0 && static_cast<size_t>(index) < outputs.size() ? &outputs[static_cast<size_t>(index)]
                                                                                  : nullptr;
}

const Tensor* output_tensor(MbertRun* run, int index) {
  const Port* port = output_of(run, index);
  return port ? &run->slots[port->value].tensor : nullptr;
}

Status set_input(MbertRun* run, const View& name, int type, int rank, const int32_t* dims, const void* data) {
  for (size_t i = 0; i < run->model.inputs.size(); i++) {
    const Port& port = run->model.inputs[i];
    if (!name.is(port.name)) continue;
    Tensor tensor;
    tensor.type = type;
    tensor.rank = rank < 0 || rank > MAX_RANK ? 0 : rank;
    bool fits = type == port.tensor.type && tensor.rank == rank && (port.tensor.rank < 0 || rank == port.tensor.rank);
    for (int axis = 0; axis < tensor.rank; axis++) {
      tensor.sizes[axis] = dims[axis];
      if (port.tensor.rank == rank && port.tensor.sizes[axis] >= 0) fits = fits && port.tensor.sizes[axis] == dims[axis];
    }
    if (!fits || !are_sizes(tensor.sizes, tensor.rank))
      return fail(failure() << "input " << name << " is " << tensor << "; expected " << port.tensor
                            << ", where -1 is any size");
    if (!data || reinterpret_cast<uintptr_t>(data) % element_bytes(type))
      return fail(failure() << "the data of input " << name << " is null, or not aligned; expected memory of mbert_allocate");
    tensor.data = const_cast<void*>(data);
    if (run->is_done) run->clear();
    Slot& slot = run->slots[port.value];
    run->release(port.value);
    slot.tensor = tensor;
    slot.is_set = true;
    return nullptr;
  }
  return fail(failure() << "the model has no input " << name << "; expected one of mbert_describe");
}

template <class Object>
void destroy(Object* object) {
  if (!object) return;
  object->~Object();
  release_memory(object);
}

}  // namespace

extern "C" {

void* mbert_allocate(size_t bytes) { return allocate_memory(bytes); }
void* mbert_extend(void* memory, size_t bytes) { return extend_memory(memory, bytes); }
void mbert_release(void* memory) { release_memory(memory); }
size_t mbert_memory() { return allocated_memory(); }
const char* mbert_error() { return last_error(); }

const char* mbert_instruction_set() {
  Message why_not;
  const Isa* isa = chosen_isa(&why_not);
  if (!isa) fail(why_not);
  return isa ? isa->name : nullptr;
}

namespace {

MbertModel* load(const uint8_t* file, size_t size, void* owned, int threads) {
  void* memory = allocate_memory(sizeof(MbertModel));
  if (!memory) {
    release_memory(owned);
    out_of_memory(sizeof(MbertModel));
    return nullptr;
  }
  MbertModel* model = new (memory) MbertModel;
  model->threads = threads > 1 ? threads : 1;
  if (!load_model({reinterpret_cast<const char*>(file), size}, owned, model)) return model;
  destroy(model);
  return nullptr;
}

}  // namespace

MbertModel* mbert_load(const uint8_t* file, size_t size, int threads) { return load(file, size, nullptr, threads); }
MbertModel* mbert_load_owned(uint8_t* file, size_t size, int threads) { return load(file, size, file, threads); }

void mbert_unload(MbertModel* model) { destroy(model); }

const char* mbert_describe(MbertModel* model) { return describe(model); }

MbertRun* mbert_run_new(MbertModel* model) {
  void* memory = allocate_memory(sizeof(MbertRun));
  if (!memory) {
    out_of_memory(sizeof(MbertRun));
    return nullptr;
  }
  MbertRun* run = new (memory) MbertRun(*model);
  if (!run->start()) return run;
  destroy(run);
  return nullptr;
}

int mbert_set_input(MbertRun* run, const char* name, int type, int rank, const int32_t* dims, const void* data) {
  return set_input(run, View(name), type, rank, dims, data) ? 1 : 0;
}

int mbert_run(MbertRun* run) {
  if (run->is_done) run->clear();
  if (!run->compute()) return 0;
  run->clear();
  return 1;
}

int mbert_output_count(MbertRun* run) { return static_cast<int>(run->model.outputs.size()); }

const char* mbert_output_name(MbertRun* run, int index) {
  const Array<Port>& outputs = run->model.outputs;
  return index >= 0 && static_cast<size_t>(index) < outputs.size() ? outputs[static_cast<size_t>(index)].name : nullptr;
}

int mbert_output_type(MbertRun* run, int index) {
  const Tensor* tensor = output_tensor(run, index);
  return tensor ? tensor->type : UNDEFINED;
}

int mbert_output_rank(MbertRun* run, int index) {
  const Tensor* tensor = output_tensor(run, index);
  return tensor ? tensor->rank : 0;
}

const int32_t* mbert_output_dims(MbertRun* run, int index) {
  return output_of(run, index) ? run->output_dims[index] : nullptr;
}

const void* mbert_output_data(MbertRun* run, int index) {
  const Tensor* tensor = output_tensor(run, index);
  return tensor ? tensor->data : nullptr;
}

void mbert_run_release(MbertRun* run) { destroy(run); }

}  // extern "C"
