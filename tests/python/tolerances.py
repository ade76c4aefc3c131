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
    "exp": Tolerance(1.9, 1.9, "0.98 / 0.87 ulp with FMA, up to an ulp more without"),
    "log": Tolerance(1.9, 1.9, "0.89 / 0.86 ulp with FMA, an ulp more without"),
    "tanh": Tolerance(2.0, 2.7, "0.99 / 0.61 ulp, half more without FMA; two for libm's tanh"),
    "sigmoid": Tolerance(2.7, 2.7, "1.70 / 0.62 ulp, an ulp more without; two for the reference"),
    "silu": Tolerance(4.0, 4.0, "sigmoid and one multiplication"),
    "erf": Tolerance(2.6, 2.6, "1.55 / 0.9 ulp, one more without FMA, one for libm's erf"),
    "gelu": Tolerance(
        4.7, 8.0, "3.7 / 4.9 ulp, one more without FMA; two in float64 for the reference's erfc"
    ),
    "pow": Tolerance(
        2.5,
        2.5,
        "1.0 / 0.7 ulp with FMA and without, logarithms being kept in two parts; "
        "up to three products, 1.5 ulp, for small whole exponents of float32",
    ),
    "sine": Tolerance(1.5, 1.5, "0.77 / 0.78 ulp, tan 0.92 / 0.87 ulp"),
    "arc": Tolerance(3.0, 1.5, "atan 2.0, asin 2.3, 0.7 ulp in float64; half more without FMA"),
    "exp2": Tolerance(1.9, 1.9, "0.78 ulp with FMA, 1.05 without"),
    "expm1": Tolerance(2.5, 2.0, "1.5 / 1.0 ulp with FMA, 0.2 more without; one for libm's"),
    "log1p": Tolerance(1.9, 1.9, "0.85 / 0.90 ulp"),
    "log_base": Tolerance(2.7, 2.2, "1.7 ulp with FMA, 2.1 without; 0.5 in float64, libm's 1.6"),
    "hyperbolic": Tolerance(2.5, 2.5, "1.6 ulp, from exp's 0.9, a quotient and a sum"),
    "arc_hyperbolic": Tolerance(3.0, 3.0, "2.1 / 1.9 ulp, from log1p of a rounded argument"),
    "erfc": Tolerance(
        5.0, 6.0, "3.5 / 4.0 ulp, half more without FMA; two in float64 for the reference's erfc"
    ),
    "hypot": Tolerance(1.7, 1.6, "1.15 / 0.5 ulp: two roundings under the root, and its own"),
    "lerp": Tolerance(2.1, 2.1, "difference, product and sum, half an ulp each, of |x| + |y|"),
    "ternary": Tolerance(2.1, 2.1, "two products and a sum of the terms' absolute values"),
    "log_loss": Tolerance(
        3.0,
        3.0,
        "1 - x is rounded before the logarithm: half an eps absolute; "
        "each term then costs a logarithm and a product",
    ),
    "thrice": Tolerance(1.6, 1.6, "three IEEE operations in a row, half an ulp each"),
    "celu": Tolerance(
        4.0, 4.5, "expm1 2.5 / 3.0 ulp without FMA, of a rounded quotient; and a product"
    ),
    "gelu_tanh": Tolerance(
        4.5,
        4.5,
        "sigmoid 3.5 ulp and a product; its argument has 1.5 eps, which the magnitude knows",
    ),
    "mish": Tolerance(
        5.5,
        5.5,
        "exp 0.9, log1p 0.9, tanh 1.5 and a product; conditions <= 1; an ulp more without FMA",
    ),
    "softplus": Tolerance(
        3.5, 3.5, "b x is rounded; exp and log1p cost 1.8 ulp, the sum and the division one more"
    ),
    "logistic": Tolerance(
        4.0,
        4.0,
        "exp and log1p cost 1.8 ulp, a product and a sum one more, of "
        "terms that the magnitude adds up; the mean of them 1",
    ),
    "soft": Tolerance(
        6.5,
        6.5,
        "as log_softmax, times a share that is itself a product and a sum; "
        "one sum over classes and one over rows",
    ),
    "sum": Tolerance(
        6.0,
        6.0,
        "n/16 additions a lane for n <= 1000, 5 across: errors of random "
        "sign add up like sqrt(68) * 0.29 eps = 2.4 eps of sum|x|; 40 "
        "equal rows, as an expanded sample has, err one way: up to 5",
    ),
    "mean": Tolerance(6.5, 6.5, "a sum and a division"),
    "prod": Tolerance(
        0.51,
        13.0,
        "folded in float64, and one rounding to float32; in float64 like "
        "sqrt(100) * 0.5 eps of random sign, 13 where 40 rows are equal",
    ),
    "var": Tolerance(
        9.0,
        9.0,
        "a sum of squares as 'sum', each 1.5 eps for the difference and the "
        "product; the division, the root and the mean's correction",
    ),
    "norm": Tolerance(
        4.0,
        12.0,
        "half the error of a sum of squares, and the root; other p are "
        "folded in float64, one chain: sqrt(1000) * 0.29 eps",
    ),
    "cumsum": Tolerance(
        0.51,
        10.0,
        "a chain in float64: at most sqrt(1000) * 0.29 eps of sum|x|; in float32 one rounding",
    ),
    "cumprod": Tolerance(
        0.51,
        10.0,
        "a chain in float64 of at most 70 products, half an eps each "
        "of random sign; in float32 one rounding",
    ),
    "logcumsumexp": Tolerance(1.01, 10.0, "a chain of sums in float64; in float32 one rounding"),
    "diff": Tolerance(1.0, 1.0, "n differences, each rounded once, of numbers up to 4 * 2^n"),
    "quantile": Tolerance(
        2.5, 2.5, "rank, weight, difference, product and sum: each half an eps of the largest |x|"
    ),
    "matmul": Tolerance(
        3.0,
        3.0,
        "one chain over k <= 130: like sqrt(k) * 0.29 eps of |a| |b|; "
        "base x86-64 rounds twice a step",
    ),
    "logaddexp": Tolerance(
        2.5,
        2.5,
        "difference, e^x, log1p and the sum: half an ulp of x and y, 2 of a number below 1",
    ),
    "erfinv": Tolerance(
        0.6,
        4.0,
        "found in double: float32 is rounded once; float64 carries "
        "the 1.6 ulp of erf and those of the reference's erf over",
    ),
    "products": Tolerance(
        6.0,
        6.0,
        "one or two chains over k <= 33 one after the "
        "other, as 'matmul'; scaling and adding, half an ulp each",
    ),
    "linear": Tolerance(6.5, 6.5, "a chain over k <= 65, the bias, then sigmoid's 3.5 ulp"),
    "softmax": Tolerance(
        9.0,
        9.0,
        "x - max is rounded: |x - max| <= 8 gives 4 eps in e^x; exp, "
        "its sum over n <= 40 and the division give 5 more",
    ),
    "log_softmax": Tolerance(
        4.5,
        4.5,
        "x - max and log(sum) are both smaller than the result and "
        "cost half an ulp and 2 ulp; the sum's relative error is "
        "an absolute one here, hence magnitude |y| + 1",
    ),
    "loss": Tolerance(
        5.0,
        5.0,
        "difference, square and mean of positive terms: 0.5 + 0.5 + 0.5 "
        "ulp each, the sum less than 3",
    ),
    "row_norm": Tolerance(
        6.0,
        6.0,
        "x - mean costs an eps of the largest |x|, over the deviation; "
        "the root, its inverse, weight and bias half an ulp each",
    ),
    "dropout": Tolerance(2.0, 2.0, "a product and, for alpha dropout, a sum; the scale is rounded"),
    "scatter": Tolerance(
        4.0,
        4.0,
        "one addition after another, at most 40 at one place: errors of "
        "random sign add up like sqrt(40) * 0.29 eps of sum|x|",
    ),
    "scatter_reduce": Tolerance(
        5.0,
        5.0,
        "as scatter; a division for means, up to 8 factors of half an ulp each for products",
    ),
    "sgd": Tolerance(
        3.0,
        3.0,
        "at most five operations, and constants rounded to the dtype, of "
        "the sum of the terms' absolute values",
    ),
    "update": Tolerance(9.0, 9.0, "as adam, with up to four more operations and constants"),
    "adam": Tolerance(
        6.0,
        6.0,
        "moments 1.5 ulp each, root, quotient and constants rounded to "
        "the dtype; the update is smaller than the parameter",
    ),
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
