// The C interface, with what exports it from a shared library. All else in the library is hidden.
#pragma once

#if defined(_WIN32)
#define MBERT_KERNELS_API __declspec(dllexport)
#else
#define MBERT_KERNELS_API __attribute__((visibility("default")))
#endif

#include "include/mbert_kernels.h"
