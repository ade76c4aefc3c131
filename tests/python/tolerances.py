"""How far a result may lie from the float64 reference, with the reason for every number.

An error is measured in units of eps(dtype) * magnitude, where the magnitude is the reference
itself or, for sums, the sum of absolute values. There is no default: a row of the case table
names its entry. Entries say what the arithmetic costs; none is there to make a test pass.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Bounds in units of eps * magnitude, and why they are what they are."""

    float32: float
    float64: float
    reason: str


TOLERANCES = {
    "exact": Tolerance(0, 0, "copies, picks, compares or negates: nothing is rounded"),
    "rounded": Tolerance(0.501, 0.501, "one IEEE operation, half an ulp; 0.001 for the reference"),
    "twice": Tolerance(1.01, 1.01, "two IEEE operations in a row, half an ulp each"),
    # The bounds of csrc/kernels/cpu/math.inc, plus one ulp: base x86-64 rounds each fma twice.
    "exp": Tolerance(1.9, 1.9, "0.90 / 0.87 ulp with FMA, an ulp more without"),
    "log": Tolerance(1.9, 1.9, "0.89 / 0.86 ulp with FMA, an ulp more without"),
    "tanh": Tolerance(2.5, 2.5, "1.50 ulp with FMA, an ulp more without"),
    "sigmoid": Tolerance(3.5, 3.5, "2.42 / 2.34 ulp with FMA, an ulp more without"),
    "silu": Tolerance(4.0, 4.0, "sigmoid and one multiplication"),
    "erf": Tolerance(2.6, 3.6, "1.55 ulp with FMA, one more without, one for libm's erf"),
    "gelu": Tolerance(7.5, 11.0, "normcdf 6.0 / 7.4 ulp, one more without FMA, half for the "
                                 "product; two in float64 for the reference's erfc"),
    "pow": Tolerance(9.0, 9.0, "exp(p log x): relative error |p log x| eps, at most 2.5 log 4 = "
                               "3.5 here, times the 0.5 + 1 ulp of product and log; or at most 6 "
                               "multiplications and a division"),
    "log_loss": Tolerance(3.0, 3.0, "1 - x is rounded before the logarithm: half an eps absolute; "
                                    "each term then costs a logarithm and a product"),
    "sum": Tolerance(6.0, 6.0, "n/16 additions a lane for n <= 1000, 5 across: errors of random "
                               "sign add up like sqrt(68) * 0.29 eps = 2.4 eps of sum|x|; 40 "
                               "equal rows, as an expanded sample has, err one way: up to 5"),
    "mean": Tolerance(6.5, 6.5, "a sum and a division"),
    "prod": Tolerance(0.51, 13.0, "folded in float64, and one rounding to float32; in float64 like "
                                  "sqrt(100) * 0.5 eps of random sign, 13 where 40 rows are equal"),
    "var": Tolerance(9.0, 9.0, "a sum of squares as 'sum', each 1.5 eps for the difference and the "
                               "product; the division, the root and the mean's correction"),
    "norm": Tolerance(4.0, 12.0, "half the error of a sum of squares, and the root; other p are "
                                 "folded in float64, one chain: sqrt(1000) * 0.29 eps"),
    "matmul": Tolerance(3.0, 3.0, "one chain over k <= 130: like sqrt(k) * 0.29 eps of |a| |b|; "
                                  "base x86-64 rounds twice a step"),
    "products": Tolerance(6.0, 6.0, "one or two chains over k <= 33 one after the "
                                    "other, as 'matmul'; scaling and adding, half an ulp each"),
    "linear": Tolerance(6.5, 6.5, "a chain over k <= 65, the bias, then sigmoid's 3.5 ulp"),
    "softmax": Tolerance(9.0, 9.0, "x - max is rounded: |x - max| <= 8 gives 4 eps in e^x; exp, "
                                   "its sum over n <= 40 and the division give 5 more"),
    "log_softmax": Tolerance(4.5, 4.5, "x - max and log(sum) are both smaller than the result and "
                                       "cost half an ulp and 2 ulp; the sum's relative error is "
                                       "an absolute one here, hence magnitude |y| + 1"),
    "loss": Tolerance(5.0, 5.0, "difference, square and mean of positive terms: 0.5 + 0.5 + 0.5 "
                                "ulp each, the sum less than 3"),
    "sgd": Tolerance(3.0, 3.0, "at most five operations, and constants rounded to the dtype, of "
                               "the sum of the terms' absolute values"),
    "adam": Tolerance(6.0, 6.0, "moments 1.5 ulp each, root, quotient and constants rounded to "
                                "the dtype; the update is smaller than the parameter"),
}

# Gradients in float64 against fourth-order central differences of the reference with step 1e-3:
# the truncation error is 4 h^4 f''''' / 120, below 1e-9 for derivatives up to 3e4 (log at 0.3 has
# 1e4); rounding of a float64 reference gives 1e-16 / h = 1e-13. Relative to 1 + |gradient|.
DIFFERENCE_STEP = 1e-3
DIFFERENCES = 2e-9

# A float32 gradient against the float64 one: backward of a row is a handful of roundings and one
# transcendental function of its (rounded) input and result; sums over broadcast axes as "sum".
# In units of eps(float32) * (|gradient| + the largest |gradient| of that input).
GRADIENT_FLOAT32 = 24.0

# A composite's gradient against the fused op's, both float64: as above.
COMPOSITE = 24.0
