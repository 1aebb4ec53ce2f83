"""Tutorial 3: df.compare. Run it: python tutorials/03_compare.py

Is it worth decorating? compare runs both modes in turn, from one saved state, and tells speed,
what the first call costs, kernels, memory traffic, and how far the results are apart.
"""

import dualflow as df
from dualflow.inspect.show import show


def black_scholes(price, strike, time):
    """The value of a European call option (Black and Scholes, 1973)."""
    rate, volatility = 0.02, 0.3
    root = volatility * df.sqrt(time)
    d1 = (df.log(price / strike) + (rate + volatility * volatility / 2) * time) / root
    d2 = d1 - root
    half = 0.7071067811865476
    cumulative = lambda d: 0.5 * df.erfc(-d * half)  # noqa: E731
    return price * cumulative(d1) - strike * df.exp(-rate * time) * cumulative(d2)


n = 100_000
price = df.random.uniform((n,), 10.0, 50.0)
strike = df.random.uniform((n,), 10.0, 50.0)
time = df.random.uniform((n,), 0.1, 2.0)

found = df.compare(black_scholes, price, strike, time, seconds=0.5)
show(found)
assert found.how == "replay"
assert found.kernels >= 1
# Both modes are as near to a run in float64 as float32 allows; ulp are many where a result is
# a small difference of large numbers.
errors = [output.compiled_error for output in found.outputs]
assert all(error is not None and error < 1e-6 for error in errors)

# The same from the command line, for a function of a file:
#   dualflow compare yourfile.py:yourfunction
# with the arguments from yourfunction_inputs() in that file, or --args "(df.ones(10), 2)".
# --json prints the figures, --html PAGE writes a page.
