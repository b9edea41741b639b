/* The C interface of mbert's native kernels for onnxruntime. C99 and C++.
 *
 * A library of kernels computes the functions of the domain "mbert" in a model file. Register it once for each
 * OrtSessionOptions, before a session is created with them:
 *
 *   - A shared library: onnxruntime opens it itself (RegisterCustomOpsLibrary_V2 in C), and calls RegisterCustomOps.
 *   - A program that is linked with it: call mbert_kernels_register(options, OrtGetApiBase()).
 *
 * All functions may be called from any thread. Names are ASCII strings that live as long as the library.
 */
#ifndef MBERT_KERNELS_H
#define MBERT_KERNELS_H

/* The version of this header. */
#define MBERT_KERNELS_VERSION "0.1.0"

#ifndef MBERT_KERNELS_API
#define MBERT_KERNELS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* onnxruntime's types, as onnxruntime_c_api.h declares them. That header is not needed here. */
struct OrtApiBase;
struct OrtSessionOptions;
struct OrtStatus;

/* Registers the kernels for sessions that are created with these options. `base` is what OrtGetApiBase() returns.
 * Returns null, or an error of onnxruntime that the caller releases with ReleaseStatus: an onnxruntime older than 1.17. */
MBERT_KERNELS_API struct OrtStatus* mbert_kernels_register(struct OrtSessionOptions* options,
                                                           const struct OrtApiBase* base);

/* The same, under the name that onnxruntime looks for in a library of custom operators. A program that is linked with two
 * such libraries calls mbert_kernels_register, whose name is in this one only. */
MBERT_KERNELS_API struct OrtStatus* RegisterCustomOps(struct OrtSessionOptions* options, const struct OrtApiBase* base);

/* The version of the library, such as "0.1.0". */
MBERT_KERNELS_API const char* mbert_kernels_version(void);

/* The instruction set of sessions that are created from now on: the one that was forced; or the one that the environment
 * variable MBERT_KERNELS_ISA names; or the fastest one that this processor supports. Returns null where the variable names
 * one that this processor or this library does not have. Sessions are not created then. */
MBERT_KERNELS_API const char* mbert_kernels_isa(void);

/* The name of an instruction set of this library by its index from 0, the fastest first; null after the last. */
MBERT_KERNELS_API const char* mbert_kernels_known(int index);

/* 1 if this processor supports the instruction set with an index, else 0. */
MBERT_KERNELS_API int mbert_kernels_has(int index);

/* Forces the instruction set of sessions that are created from now on, in the whole process; null ends that. Returns 0, or
 * 1 where this processor or this library does not have it: then nothing changes. */
MBERT_KERNELS_API int mbert_kernels_force_isa(const char* name);

#ifdef __cplusplus
}
#endif

#endif /* MBERT_KERNELS_H */
