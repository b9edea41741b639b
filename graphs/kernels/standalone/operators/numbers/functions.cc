#include "standalone/operators/numbers/functions.h"

namespace mbert {

namespace {

constexpr double LOG2_E = 1.4426950408889634;
// ln 2 in two parts, of which the first has trailing zeros: its product with an exponent is exact.
constexpr double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;

// 2^n for the exponents of normal numbers.
double power_of_2(int n) {
  const uint64_t bits = static_cast<uint64_t>(n + 1023) << 52;
  double result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

// e^x − 1 for |x| ≤ ln(2)/2: the series, whose 14th term is below 2^-59 of the first.
double small_expm1(double x) {
  constexpr double SHARES[] = {1. / 14, 1. / 13, 1. / 12, 1. / 11, 1. / 10, 1. / 9, 1. / 8,
                               1. / 7,  1. / 6,  1. / 5,  1. / 4,  1. / 3,  1. / 2};
  double sum = 1.0;
  for (double share : SHARES) sum = 1.0 + x * share * sum;
  return x * sum;
}

}  // namespace

double exp_of(double x) {
  if (x != x) return x;
  if (x > 709.8) return __builtin_inf();
  if (x < -745.2) return 0.0;
  const double scaled = x * LOG2_E;
  const int n = static_cast<int>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const double left = x - n * LN2_HIGH - n * LN2_LOW;
  const double near = 1.0 + small_expm1(left);
  // In two factors, as 2^n may not be a normal number.
  const int half = n / 2;
  return near * power_of_2(half) * power_of_2(n - half);
}

double tanh_of(double x) {
  if (x != x) return x;
  const double size = x < 0 ? -x : x;
  double result = 1.0;
  if (size < 0.17) {  // where 1 − 2/(e^2x + 1) would lose digits
    const double grown = small_expm1(2.0 * size);
    result = grown / (grown + 2.0);
  } else if (size < 20.0) {
    result = 1.0 - 2.0 / (exp_of(2.0 * size) + 1.0);
  }
  return x < 0 ? -result : result;
}

double erf_of(double x) {
  constexpr double TWO_BY_ROOT_OF_PI = 1.1283791670955126, LARGEST = 6.0;  // from there on, it is 1
  if (x != x) return x;
  const double size = x < 0 ? -x : x;
  if (size >= LARGEST) return x < 0 ? -1.0 : 1.0;
  // e^−x² Σ 2^n x^(2n+1) / (1 · 3 · … · (2n+1)), whose terms are all positive.
  double term = size, sum = size;
  for (double divisor = 3.0; term > 1e-17 * sum; divisor += 2.0) sum += term *= 2.0 * size * size / divisor;
  const double result = TWO_BY_ROOT_OF_PI * exp_of(-size * size) * sum;
  return x < 0 ? -result : result;
}

int64_t nearest_integer(double x) {
  constexpr double FAR = 1099511627776.0, SHIFT = 6755399441055744.0;  // 1.5 · 2^52: the sum has no fraction
  const double near = x < -FAR ? -FAR : x > FAR ? FAR : x == x ? x : 0.0;
  return static_cast<int64_t>((near + SHIFT) - SHIFT);
}

}  // namespace mbert
