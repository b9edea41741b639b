// Functions of real numbers, which have no C library here. Their error is below two units in the last place of a double;
// that of erf is below 1e-14.
#pragma once

#include <stdint.h>

namespace mbert {

double exp_of(double x);
double tanh_of(double x);
double erf_of(double x);

// Rounds to the nearest integer, ties to even, within ±2^40; 0 for NaN.
int64_t nearest_integer(double x);

}  // namespace mbert
