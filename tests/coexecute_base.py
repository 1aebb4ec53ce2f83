"""What the tests of co-execution share: a world, and calls compared with eager ones."""

import numpy as np

from dualflow.array import tensor
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments


def eagerly(call):
    return call()


def both(make, function, calls=4, exact=True):
    """Calls of `function(env)` eagerly and co-executed see the same; gives the segments."""
    seen = []
    found = Segments()
    for wrap in (eagerly, lambda call: coexecute(found, call, wait=not exact)):
        env = make()
        env.log = []
        for _ in range(calls):
            result = wrap(lambda env=env: function(env))
            env.log.append(result.tolist() if hasattr(result, "tolist") else result)
            env.log += [t.tolist() for t in vars(env).values() if hasattr(t, "tolist")]
        seen.append(env.log)
    if exact:
        assert seen[1] == seen[0]
    else:
        flat = [np.concatenate([np.ravel(x) for x in log if x is not None]) for log in seen]
        np.testing.assert_allclose(flat[1], flat[0], rtol=1e-12, atol=1e-12)
        assert found.stats.compiled > 0
        assert found.stats.failures == 0
    return found


class Env:
    """What a function finds outside."""

    def __init__(self, **tensors):
        self.count, self.log, self.kept = 0, [], []
        vars(self).update(tensors)


def square(n=3):
    return tensor(np.arange(n * n, dtype=np.float64).reshape(n, n) / 7)
