#!/usr/bin/env python3
"""Computes every coefficient in coefficients.inc and prints it as it stands there.

  python3 fit_polynomials.py                           print the tables and their fit errors
  python3 fit_polynomials.py --check coefficients.inc  also fail unless each line stands there

Method: weighted minimax (Remez exchange on a dense Chebyshev grid) in mpmath.  The
coefficients are then rounded to the target precision; after each of the first three the
rest is fitted again, so that it absorbs their rounding.  Nothing here is taken from a library;
nothing here runs when Ranvier runs.
"""

import argparse
import sys

import mpmath as mp
import numpy as np

mp.mp.dps = 60
GRID = 1200  # points on which the error is watched


def grid(lo, hi, points):
    """Chebyshev points: dense where minimax errors peak, at the ends."""
    mid, half = (mp.mpf(lo) + hi) / 2, (mp.mpf(hi) - lo) / 2
    return [mid - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / points) for i in range(points)]


def remez(xs, target, weight, n):
    """Minimax of weight * (sum of c_j x^j, j < n, - target) over the points xs."""
    rows = [[x**j for j in range(n)] for x in xs]
    reference = [round((len(xs) - 1) * (1 - np.cos(np.pi * i / n)) / 2) for i in range(n + 1)]
    best = None
    for _ in range(40):
        a, b = mp.matrix(n + 1, n + 1), mp.matrix(n + 1, 1)
        for i, k in enumerate(reference):
            for j in range(n):
                a[i, j] = weight[k] * rows[k][j]
            a[i, n] = (-1) ** i
            b[i] = weight[k] * target[k]
        c = list(mp.lu_solve(a, b))
        levelled = abs(c[n])
        c = c[:n]
        error = [w * (mp.fdot(c, row) - t) for w, row, t in zip(weight, rows, target, strict=False)]
        worst = max(abs(e) for e in error)
        if best is None or worst < best[0]:
            best = (worst, c)
        if worst <= levelled * mp.mpf("1.0005"):
            break
        # One extremum from each run of equal signs; the smallest go, so that signs alternate.
        peaks = []
        for k, e in enumerate(error):
            if peaks and (e > 0) == (error[peaks[-1]] > 0):
                if abs(e) > abs(error[peaks[-1]]):
                    peaks[-1] = k
            else:
                peaks.append(k)
        if len(peaks) < n + 1:
            raise ArithmeticError("the error does not alternate")
        while len(peaks) > n + 1:
            size = [abs(error[k]) for k in peaks]
            least = size.index(min(size))
            if least in (0, len(peaks) - 1):
                peaks.pop(least)
            elif len(peaks) == n + 2:
                peaks.pop(0 if size[0] < size[-1] else -1)
            else:
                other = least - 1 if size[least - 1] < size[least + 1] else least + 1
                peaks = [k for i, k in enumerate(peaks) if i not in (least, other)]
        reference = peaks
    else:
        raise ArithmeticError("the exchange did not settle")
    return best[1]


def rounded(x, dtype):
    """x correctly rounded to dtype (through its exact value, not through float64)."""
    if dtype is np.float64:
        return float(x)
    near = np.float32(float(x))
    near_by = (
        np.nextafter(near, np.float32(-np.inf)),
        near,
        np.nextafter(near, np.float32(np.inf)),
    )
    return min(near_by, key=lambda v: abs(mp.mpf(float(v)) - x))


def fit(f, weight, lo, hi, degree, dtype, points=GRID):
    """Coefficients c_0..c_degree of dtype with weight * (c(x) - f(x)) small on [lo, hi]."""
    xs = grid(lo, hi, points)
    target, w = [f(x) for x in xs], [abs(weight(x)) for x in xs]
    done, refitted = [], 3
    while len(done) <= degree:
        # Points of nearly no weight cannot be extrema, and make the linear system singular.
        keep = [i for i, wi in enumerate(w) if wi > max(w) / 10**12]
        c = remez(
            [xs[i] for i in keep],
            [target[i] for i in keep],
            [w[i] for i in keep],
            degree + 1 - len(done),
        )
        for cj in c[:1] if len(done) < refitted else c:
            done.append(rounded(cj, dtype))
            # What is left is x times a lower polynomial (no grid point is 0).
            target = [(t - float(done[-1])) / x for t, x in zip(target, xs, strict=False)]
            w = [wi * abs(x) for wi, x in zip(w, xs, strict=False)]
    return done, max(wi * abs(t) for wi, t in zip(w, target, strict=False))


def text(x, dtype):
    s = repr(float(x)) if dtype is np.float64 else str(np.float32(x))
    if "." not in s and "e" not in s:
        s += ".0"
    return s + ("f" if dtype is np.float32 else "")


def split(x, bits, dtype):
    """x = hi + lo, hi with so few bits that its product with a small integer is exact."""
    x = mp.mpf(x)
    unit = mp.mpf(2) ** (mp.floor(mp.log(abs(x), 2)) + 1 - bits)
    hi = mp.nint(x / unit) * unit
    return rounded(hi, dtype), rounded(x - hi, dtype)


# ---- the functions fitted ---------------------------------------------------------------


def exp_tail(r):
    """(e^r - 1 - r) / r^2"""
    if abs(r) < mp.mpf(10) ** -12:
        return mp.mpf(1) / 2 + r / 6 + r * r / 24
    return (mp.expm1(r) - r) / r**2


def log_tail(f):
    """(log(1 + f) - f + f^2/2) / f^3"""
    if abs(f) < mp.mpf(10) ** -8:
        return mp.mpf(1) / 3 - f / 4 + f * f / 5 - f**3 / 6 + f**4 / 7
    return (mp.log1p(f) - f + f * f / 2) / f**3


def log_tail_weight(f):
    return f**3 / mp.log1p(f)


def atanh_tail(z):
    """(2 atanh(s) / s - 2) / z with s^2 = z"""
    s = mp.sqrt(z)
    if s < mp.mpf(10) ** -8:
        return mp.mpf(2) / 3 + 2 * z / 5 + 2 * z * z / 7
    return (2 * mp.atanh(s) / s - 2) / z


def tanh_tail(w):
    """(tanh(x) / x - 1) / x^2 with x^2 = w"""
    x = mp.sqrt(w)
    if x < mp.mpf(10) ** -8:
        return -mp.mpf(1) / 3 + 2 * w / 15 - 17 * w * w / 315
    return (mp.tanh(x) / x - 1) / w


def erf_rest(w):
    """erf(x) / x - 1 with x^2 = w"""
    x = mp.sqrt(w)
    return (mp.erf(x) / x if x > mp.mpf(10) ** -20 else 2 / mp.sqrt(mp.pi)) - 1


def sin_over_v(w):
    """sin(2 pi v) / v with v^2 = w"""
    v = mp.sqrt(w)
    return mp.sin(2 * mp.pi * v) / v if v > mp.mpf(10) ** -20 else 2 * mp.pi


def tail_ratio(k):
    """Q(z) e^(z^2/2) (z + k), Q(z) = 1 - Phi(z), as a function of t = (z - k) / (z + k)"""

    def f(t):
        z = k * (1 + t) / (1 - t)
        return mp.erfc(z / mp.sqrt(2)) / 2 * mp.exp(z * z / 2) * (z + k)

    return f


def odd_tail(f, first, second):
    """(f(x) / x - 1) / x^2 with x^2 = w, for an odd f = x + first x^3 + second x^5 + ..."""

    def tail(w):
        x = mp.sqrt(w)
        if x < mp.mpf(10) ** -8:
            return first + second * w
        return (f(x) / x - 1) / w

    return tail


def cos_tail(w):
    """(cos(x) - 1 + x^2/2) / x^4 with x^2 = w"""
    x = mp.sqrt(w)
    if x < mp.mpf(10) ** -8:
        return mp.mpf(1) / 24 - w / 720 + w * w / 40320
    return (mp.cos(x) - 1 + w / 2) / w**2


def exp2_tail(r):
    """(2^r - 1) / r"""
    ln2 = mp.log(2)
    if abs(r) < mp.mpf(10) ** -12:
        return ln2 + r * ln2**2 / 2
    return mp.expm1(r * ln2) / r


def atanh_rest(z):
    """(2 atanh(s) / s - 2 - 2/3 s^2) / s^4 with s^2 = z"""
    s = mp.sqrt(z)
    if s < mp.mpf(10) ** -6:
        return mp.mpf(2) / 5 + 2 * z / 7 + 2 * z * z / 9
    return (2 * mp.atanh(s) / s - 2 - 2 * z / 3) / z**2


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def upper_tail(z):
    """Q(z) = 1 - Phi(z), of the normal distribution"""
    return mp.erfc(z / mp.sqrt(2)) / 2


def piece(f, center, half, first, degree):
    """One of them."""
    low = mp.mpf(0) if first and center == 0 else -half

    def whole(u):
        return f(center + u)

    def slope(u):  # where f goes through the origin: without a factor u the error stays relative
        return f(u) / u if abs(u) > mp.mpf(10) ** -25 else mp.diff(f, 0)

    if whole(0) != 0:
        return fit(whole, lambda u: 1 / whole(u), low, half, degree, np.float32, 200)
    c, error = fit(slope, lambda u: 1 / slope(u), low, half, degree - 1, np.float32, 200)
    return [0.0, *c], error


def pieces(f, width, first, degree):
    """16 polynomials in x - k width, k from `first`, relative to f on [(k - 1/2), (k + 1/2)] width.

    Row j holds the coefficients of power j, that of piece k at k mod 16. Where k = 0 is first, f is
    wanted for x >= 0 alone. The piece is found by a rounded product: it reaches a bit further.
    """
    table, worst = [[0.0] * 16 for _ in range(degree + 1)], 0
    for k in range(first, first + 16):
        half = mp.mpf(width) / 2 * mp.mpf("1.00001")
        c, error = piece(f, mp.mpf(k) * width, half, k == first, degree)
        worst = max(worst, error)
        for j in range(degree + 1):
            table[j][k % 16] = float(c[j])
    return table, worst


def pieces_text(label, made):
    table, error = made
    said = f"degree {len(table) - 1}, weighted error {float(error):.2e}"
    print(f"// {label}: {said}", file=sys.stderr)
    rows = [", ".join(text(x, np.float32) for x in row) for row in table]
    body = "},\n{".join(rows)
    return f"alignas(64) static constexpr float {label}[{len(rows)}][16] = {{{{{body}}}}};"


def scalar_text(label, value, dtype, name):
    return f"static constexpr {name} {label} = {text(value, dtype)};"


def table_text(label, fitted, dtype, name):
    c, error = fitted
    print(f"// {label}: degree {len(c) - 1}, weighted error {float(error):.2e}", file=sys.stderr)
    body = [text(x, dtype) for x in c]
    lines, line = [], f"static constexpr {name} {label}[] = {{"
    for i, item in enumerate(body):
        item += "," if i + 1 < len(body) else "};"
        if len(line) + 1 + len(item) > 92:
            lines.append(line)
            line = "   "
        line += ("" if line.endswith("{") else " ") + item
    return "\n".join([*lines, line])


def tables_of(dtype, name):
    """Declarations of every table of one type, in the order of coefficients.inc."""
    ln2 = mp.log(2)
    half_ln2 = ln2 / 2 * mp.mpf("1.001")  # n is rounded from an inexact product
    single = dtype is np.float32
    print(f"\n// {name}")

    def scalar(label, value):
        return scalar_text(label, value, dtype, name)

    def table(label, fitted):
        return table_text(label, fitted, dtype, name)

    # |n| <= 151 takes 8 bits of float's 24, |n| <= 1077 takes 11 of double's 53.
    hi, lo = split(ln2, 15 if single else 42, dtype)
    yield scalar("log2e", rounded(1 / ln2, dtype))
    yield scalar("ln2_hi", hi)
    yield scalar("ln2_lo", lo)
    yield scalar("sqrt2", rounded(mp.sqrt(2), dtype))
    # log's reduced mantissa lies in (log_top / 2, log_top].
    log_top = mp.mpf(4) / 3 if single else mp.sqrt(2)
    yield scalar("log_top", rounded(log_top, dtype))

    # The error of e^r relative to e^r.
    yield table(
        "exp_c",
        fit(exp_tail, lambda r: r**2 / mp.exp(r), -half_ln2, half_ln2, 4 if single else 9, dtype),
    )
    if single:
        # The error relative to log(1 + f).
        yield table("log_c", fit(log_tail, log_tail_weight, log_top / 2 - 1, log_top - 1, 7, dtype))
    else:
        limit = ((log_top - 1) / (log_top + 1)) ** 2 * mp.mpf("1.0001")
        yield table("log_c", fit(atanh_tail, lambda z: z / 2, mp.mpf(0), limit, 6, dtype))

    # All relative; tanh up to |x| = tanh_near, erf up to 1.
    near = mp.mpf(5) / 16
    yield scalar("tanh_near", rounded(near, dtype))
    yield table(
        "tanh_c",
        fit(
            tanh_tail,
            lambda w: w / (1 + w * tanh_tail(w)),
            mp.mpf(0),
            near**2,
            2 if single else 7,
            dtype,
        ),
    )
    # x - tanh x, relative to itself.
    far = mp.mpf(5) / 4 if single else near
    yield scalar("shrink_near", rounded(far, dtype))
    yield table(
        "shrink_c",
        fit(
            lambda w: -tanh_tail(w),
            lambda w: 1 / tanh_tail(w),
            mp.mpf(0),
            far**2,
            8,
            dtype,
        ),
    )
    yield table(
        "erf_c",
        fit(
            erf_rest,
            lambda w: 1 / (1 + erf_rest(w)),
            mp.mpf(0),
            mp.mpf(1),
            7 if single else 11,
            dtype,
        ),
    )
    k = mp.mpf(4) if single else mp.mpf(5)
    limit = mp.mpf(15) if single else mp.mpf(39)
    g = tail_ratio(k)
    yield scalar("tail_k", rounded(k, dtype))
    yield table(
        "tail_c",
        fit(
            g,
            lambda t: 1 / g(t),
            mp.mpf(-1),
            (limit - k) / (limit + k),
            9 if single else 22,
            dtype,
        ),
    )

    # Absolute.
    yield table(
        "sin_c", fit(sin_over_v, mp.sqrt, mp.mpf(0), mp.mpf(1) / 16, 4 if single else 8, dtype)
    )


def later_tables_of(dtype, name):
    """The tables of powers, logarithms to other bases and trigonometry, all errors relative."""
    single = dtype is np.float32

    def scalar(label, value):
        return scalar_text(label, value, dtype, name)

    def table(label, fitted):
        return table_text(label, fitted, dtype, name)

    def both(label, value):
        """The number and what its rounding left out."""
        high = rounded(value, dtype)
        yield scalar(label, high)
        yield scalar(label + "_low", rounded(value - high, dtype))

    def odd(label, tail, end, degree):
        yield table(
            label, fit(tail, lambda w: w / (1 + w * tail(w)), mp.mpf(0), end**2, degree, dtype)
        )

    yield from both("log2_e", 1 / mp.log(2))
    yield from both("log10_e", 1 / mp.log(10))
    yield from both("log10_2", mp.log(2) / mp.log(10))
    yield from both("pi", mp.pi)
    yield scalar("sqrt2_low", rounded(mp.sqrt(2) - rounded(mp.sqrt(2), dtype), dtype))
    slope = 2 * mp.sqrt(2 / mp.pi)  # of gelu by tanh
    yield from both("gelu_slope", slope)
    yield from both("gelu_cube", slope * mp.mpf("0.044715"))
    yield from both("two_thirds", mp.mpf(2) / 3)
    # Parts of pi/2; n times one of the first three is exact while n < 2^13 (2^27), and so are the
    # differences with the first two, which end where the dtype's numbers around 1 end.
    rest = mp.pi / 2
    for label in ("half_pi_1", "half_pi_2", "half_pi_3"):
        part, _ = split(rest, 11 if single else 26, dtype)
        rest -= part
        yield scalar(label, part)
    yield scalar("half_pi_4", rounded(rest, dtype))
    yield scalar("two_over_pi", rounded(2 / mp.pi, dtype))

    quarter = mp.pi / 4 * mp.mpf("1.001")  # the quadrant comes from a rounded product
    sine = odd_tail(mp.sin, -mp.mpf(1) / 6, mp.mpf(1) / 120)
    yield from odd("sine_c", sine, quarter, 2 if single else 5)
    yield table(
        "cosine_c",
        fit(cos_tail, lambda w: w**2, mp.mpf(0), quarter**2, 2 if single else 5, dtype),
    )
    arc = odd_tail(mp.atan, -mp.mpf(1) / 3, mp.mpf(1) / 5)
    yield from odd("atan_c", arc, mp.sqrt(2) - 1, 3 if single else 10)
    arc = odd_tail(mp.asin, mp.mpf(1) / 6, mp.mpf(3) / 40)
    yield from odd("asin_c", arc, mp.mpf(1) / 2, 4 if single else 11)
    hyperbolic = odd_tail(mp.sinh, mp.mpf(1) / 6, mp.mpf(1) / 120)
    yield from odd("sinh_c", hyperbolic, mp.mpf(1), 2 if single else 6)
    half = mp.mpf("0.5001")
    yield table(
        "exp2_c",
        fit(exp2_tail, lambda r: r / mp.mpf(2) ** r, -half, half, 5 if single else 10, dtype),
    )
    # Relative to log: what is left must be 2^-10 below the dtype's own precision.
    limit = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")
    yield table(
        "pow_c", fit(atanh_rest, lambda z: z**2 / 2, mp.mpf(0), limit, 3 if single else 7, dtype)
    )


def piece_tables():
    """What float32 has beside: tables of 16 that are looked up within a register."""
    power = [rounded(mp.mpf(2) ** (mp.mpf(k) / 16), np.float32) for k in range(16)]
    body = ", ".join(text(x, np.float32) for x in power)
    yield f"alignas(64) static constexpr float root_p[16] = {{{body}}};"
    # n in 16ths, |n| <= 151, takes 12 bits.
    hi, lo = split(mp.log(2), 12, np.float32)
    yield scalar_text("root_hi", hi, np.float32, "float")
    yield scalar_text("root_lo", lo, np.float32, "float")
    half = mp.log(2) / 32 * mp.mpf("1.001")
    fitted = fit(exp_tail, lambda r: r**2 / mp.exp(r), -half, half, 1, np.float32)
    yield table_text("exp_rest", fitted, np.float32, "float")
    yield pieces_text("tanh_p", pieces(mp.tanh, mp.mpf("0.59375"), 0, 7))
    yield pieces_text("sigmoid_p", pieces(logistic, mp.mpf(1), -8, 6))
    yield pieces_text("tail_p", pieces(upper_tail, mp.mpf("0.25"), 0, 6))


def tables():
    yield from piece_tables()
    for dtype, name in ((np.float32, "float"), (np.float64, "double")):
        yield from tables_of(dtype, name)
        yield from later_tables_of(dtype, name)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", metavar="FILE", help="fail unless FILE holds every printed table"
    )
    arguments = parser.parse_args()
    held = None
    if arguments.check:
        with open(arguments.check, encoding="utf-8") as file:
            held = "".join(file.read().split())
    missing = 0
    for block in tables():
        print(block, flush=True)
        if held is not None and "".join(block.split()) not in held:
            print("// MISSING from " + arguments.check)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
