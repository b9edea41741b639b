// The C interface of the standalone runtime: it loads a model file that `mbert-onnx export` wrote, and runs it, without
// onnxruntime. Native libraries and mbert.wasm export these functions under these names.
//
// A model may run in several threads at once, each with a run of its own.
#ifndef MBERT_RUNTIME_H
#define MBERT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__wasm__)
#define MBERT_EXPORT(name) __attribute__((export_name(#name))) name
#elif defined(_WIN32)
#define MBERT_EXPORT(name) __declspec(dllexport) name
#else
#define MBERT_EXPORT(name) __attribute__((visibility("default"))) name
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct MbertModel MbertModel;
typedef struct MbertRun MbertRun;

// Allocates memory that is aligned to 64 bytes. Returns null where none is left.
void* MBERT_EXPORT(mbert_allocate)(size_t bytes);
void MBERT_EXPORT(mbert_release)(void* memory);
// Makes memory of mbert_allocate larger, and returns where it is now; allocates memory if it is null. Returns null where none
// is left, and leaves it as it was.
void* MBERT_EXPORT(mbert_extend)(void* memory, size_t bytes);
// Returns the bytes that are allocated now, those of mbert_allocate included.
size_t MBERT_EXPORT(mbert_memory)(void);
// Returns the last error of this thread: one line of UTF-8.
const char* MBERT_EXPORT(mbert_error)(void);
// Returns the name of the instruction set that models which are loaded now use; null where MBERT_KERNELS_ISA names one
// that is not available.
const char* MBERT_EXPORT(mbert_instruction_set)(void);

// Loads a model from the bytes of its file, which may be released afterwards. Runs use at most `threads` threads: the one
// that calls mbert_run, and those that call mbert_work. Returns null on failure: see mbert_error.
MbertModel* MBERT_EXPORT(mbert_load)(const uint8_t* file, size_t size, int threads);
// As mbert_load, of a file in memory of mbert_allocate, which it releases, also on failure. In WebAssembly it does so while it
// packs the weights, so that they take the place of the file's.
MbertModel* MBERT_EXPORT(mbert_load_owned)(uint8_t* file, size_t size, int threads);
// Releases a model, whose runs must have been released.
void MBERT_EXPORT(mbert_unload)(MbertModel* model);
// Returns JSON: {"inputs": [{"name", "type", "shape", "optional"}], "outputs": [{"name", "type", "shape"}],
// "metadata": {}}. Types have onnxruntime's names, such as "int64"; a shape has numbers, and names of dynamic sizes, which
// may be empty. Returns null where no memory is left.
const char* MBERT_EXPORT(mbert_describe)(MbertModel* model);

// Creates a run of a model. Returns null where no memory is left.
MbertRun* MBERT_EXPORT(mbert_run_new)(MbertModel* model);
// Sets an input of the next mbert_run. `type` is ONNX's number of an element type. `data` is aligned to its elements, and
// stays the caller's; it must not change before mbert_run has returned. Returns 0, or 1: see mbert_error.
int MBERT_EXPORT(mbert_set_input)(MbertRun* run, const char* name, int type, int rank, const int32_t* dims,
                                  const void* data);
// Computes all outputs; afterwards, no input is set. Inputs with a default may be left out. Returns 0, or 1: see
// mbert_error.
int MBERT_EXPORT(mbert_run)(MbertRun* run);
// The outputs of the last mbert_run, which are valid until the next one, or until the run is released. An index that is
// out of range has no name, type 0, rank 0, and no data.
int MBERT_EXPORT(mbert_output_count)(MbertRun* run);
const char* MBERT_EXPORT(mbert_output_name)(MbertRun* run, int index);
int MBERT_EXPORT(mbert_output_type)(MbertRun* run, int index);
int MBERT_EXPORT(mbert_output_rank)(MbertRun* run, int index);
const int32_t* MBERT_EXPORT(mbert_output_dims)(MbertRun* run, int index);
const void* MBERT_EXPORT(mbert_output_data)(MbertRun* run, int index);
void MBERT_EXPORT(mbert_run_release)(MbertRun* run);

#ifdef __wasm_atomics__
// Helps runs with their tasks, and does not return. A worker calls it in an instance of its own on the shared memory;
// `stack` is the end of memory for its stack, 256 KB from mbert_allocate, which is a multiple of 16. The first instance
// must have been made before.
void MBERT_EXPORT(mbert_work)(void* stack);
#endif

#ifdef __cplusplus
}
#endif

#endif
