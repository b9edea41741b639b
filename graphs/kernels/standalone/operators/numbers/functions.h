// Functions of real numbers, which have no C library here. Their error is below two units in the last place of a double.
#pragma once

namespace mbert {

double exp_of(double x);
double tanh_of(double x);

}  // namespace mbert
