/* Calls every function of mbert_kernels.h but the registration, of which it takes the address; C99 and C++. Prints what
 * test_header.py compares. With -DOFFICIAL, onnxruntime's own header declares the same types before. */
#ifdef OFFICIAL
#include <onnxruntime_c_api.h>
#endif
#include <mbert_kernels.h>
#include <stdio.h>
#include <string.h>

typedef struct OrtStatus* (*Registration)(struct OrtSessionOptions*, const struct OrtApiBase*);

int main(void) {
  const Registration registrations[] = {RegisterCustomOps, mbert_kernels_register};
  const char* at_first = mbert_kernels_isa();
  int index;
  if (!registrations[0] || !registrations[1] || !at_first) return 1;
  printf("version %s\n", mbert_kernels_version());
  printf("header %s\n", MBERT_KERNELS_VERSION);
  printf("isa %s\n", at_first);
  for (index = 0; mbert_kernels_known(index); index++)
    printf("%s %d\n", mbert_kernels_known(index), mbert_kernels_has(index));
  if (mbert_kernels_known(-1) || mbert_kernels_has(-1) || mbert_kernels_has(index)) return 2;
  if (mbert_kernels_force_isa("portable") || strcmp(mbert_kernels_isa(), "portable")) return 3;
  if (!mbert_kernels_force_isa("none") || strcmp(mbert_kernels_isa(), "portable")) return 4;
  if (mbert_kernels_force_isa(NULL) || strcmp(mbert_kernels_isa(), at_first)) return 5;
  return 0;
}
