"""The native thread pool, as native text: it divides a kernel's range over threads.

    table = kernel, its words (w), index of its `lo` word, points in a part, parts, most threads,
            bytes of scratch a thread, index of the first scratch word, scratch words, whether it
            is light, (w words)

A part is the kernel on its own table, with `lo` and `hi` narrowed and scratch of its thread. Parts
are claimed one by one by compare-and-swap on (launch, next part), so the caller waits for parts
that others have begun, never for a thread that sleeps. One launch at a time: a caller who finds
the pool busy runs the whole range itself. Callers count: threads of the pool take no further part
while they and all callers are more than the limit, which is the budget of the process. Threads are
started by the first launch that wants them, with all signals blocked; they look for work for a
while, then sleep. To wake them takes the caller 20 us, so a light kernel does it only now and then.
Comes in: a step's table.
"""

from __future__ import annotations

import platform
import sys

from .native_text import Part

MOST_THREADS = 256
#: How often a thread looks for work, and a caller for the end, before it gives its core away.
WORKER_LOOKS, CALLER_LOOKS = 2000, 500
#: Of so many light kernels that find all threads asleep one wakes them.
PATIENCE = 16

#: What a processor is told in a loop that waits.
_PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}

_POOL = """
pthread_create: int

launch = words(1)
claim = words(1)
finished = words(1)
table = words(1)
parts = words(1)
most = words(1)
joined = words(1)
sleepers = words(1)
busy = words(1)
callers = words(1)
started = words(1)
limit = words(1)
stopping = words(1)
launches = words(1)
missed = words(1)
handles = words(MOST_THREADS)
mutex = words(16)
work = words(16)

@noinline
def part(t, k, thread):
    own = room(t[1])
    copy(own, t + 8 * WORDS, 8 * t[1])
    bounds = own + 8 * t[2]
    bounds[0] += k * t[3]
    if bounds[0] + t[3] < bounds[1]: bounds[1] = bounds[0] + t[3]
    scratch = own + 8 * t[7]
    s = 0
    while s < t[8]:
        scratch[s] += thread * t[6]
        s += 1
    return call(t[0], own)

@noinline
def parts_of(number, thread):
    while True:
        if thread > 0 and thread + seen(callers) > limit[0]: return 0
        v = seen(claim)
        if v >> 32 << 32 != number << 32: return 0
        k = v & FIRST_32
        t = table[0]
        if k >= parts[0]: return 0
        if exchanged(claim, v, v + 1):
            part(t, k, thread)
            added(finished, 1)

def worker(nothing):
    signals = room(16)
    k = 0
    while k < 16:
        signals[k] = -1
        k += 1
    pthread_sigmask(SET_MASK, signals, 0)
    last = 0
    while True:
        looks = 0
        while seen(launch) == last and looks < WORKER_LOOKS:
            pause()
            looks += 1
        if seen(launch) == last:
            pthread_mutex_lock(mutex)
            added(sleepers, 1)
            while seen(launch) == last: pthread_cond_wait(work, mutex)
            added(sleepers, -1)
            pthread_mutex_unlock(mutex)
        last = seen(launch)
        if seen(stopping) != 0: return 0
        thread = added(joined, 1)
        if thread < most[0]: parts_of(last, thread)

@noinline
def grow(wanted):
    while started[0] < wanted:
        if pthread_create(handles + 8 * started[0], 0, worker, 0) != 0:
            limit[0] = started[0] + 1
            return 0
        started[0] += 1

def announce(helpers):
    number = launch[0] + 1
    show(claim, number << 32)
    show(launch, number)
    if seen(sleepers) != 0:
        pthread_mutex_lock(mutex)
        while helpers > 0:
            pthread_cond_signal(work)
            helpers -= 1
        pthread_mutex_unlock(mutex)

def lets_sleep(t):
    if t[9] == 0 or seen(sleepers) < started[0]: return 0
    missed[0] += 1
    if missed[0] < PATIENCE: return 1
    missed[0] = 0
    return 0

def alone(t):
    return call(t[0], t + 8 * WORDS)

def dualflow_parallel(t):
    threads = limit[0] - added(callers, 1)
    divide(t, threads if threads < t[5] else t[5])
    added(callers, -1)

@noinline
def divide(t, threads):
    if threads < 2 or not exchanged(busy, 0, 1): return alone(t)
    if lets_sleep(t):
        show(busy, 0)
        return alone(t)
    if started[0] < threads - 1: grow(threads - 1)
    show(claim, -1)
    table[0] = t
    parts[0] = t[4]
    most[0] = threads
    show(joined, 1)
    show(finished, 0)
    announce(threads - 1)
    launches[0] += 1
    parts_of(launch[0], 0)
    looks = 0
    while seen(finished) != t[4]:
        pause()
        looks += 1
        if looks == CALLER_LOOKS:
            sched_yield()
            looks = 0
    show(busy, 0)

def dualflow_pool_limit(threads):
    limit[0] = threads
    return launches[0]

def dualflow_pool_reset():
    launch[0] = 0
    sleepers[0] = 0
    stopping[0] = 0
    started[0] = 0
    callers[0] = 0
    pthread_mutex_init(mutex, 0)
    pthread_cond_init(work, 0)
    show(busy, 0)

def dualflow_pool_stop():
    while not exchanged(busy, 0, 1): sched_yield()
    limit[0] = 1
    show(stopping, 1)
    pthread_mutex_lock(mutex)
    show(claim, -1)
    show(launch, launch[0] + 1)
    pthread_cond_broadcast(work)
    pthread_mutex_unlock(mutex)
    k = 0
    while k < started[0]:
        pthread_join(handles[k], 0)
        k += 1
    dualflow_pool_reset()

def dualflow_probe(t):
    k = t[1]
    while k < t[2]:
        added(t[0] + 8 * k, 1)
        k += 1
"""
SYMBOLS = (
    "dualflow_parallel", "dualflow_pool_limit", "dualflow_pool_reset", "dualflow_pool_stop",
    "dualflow_probe",
)  # fmt: skip
#: Words of a step's table before those of the kernel.
HEAD = 10


def pool_text() -> Part:
    """The pool for this machine."""
    name = platform.machine().lower()
    declared, pause = _PAUSES.get(_ALIASES.get(name, name), ("", ""))
    numbers = {
        "MOST_THREADS": MOST_THREADS, "SET_MASK": 3 if sys.platform == "darwin" else 2,
        "WORKER_LOOKS": WORKER_LOOKS, "CALLER_LOOKS": CALLER_LOOKS, "WORDS": HEAD,
        "PATIENCE": PATIENCE, "FIRST_32": (1 << 32) - 1,
    }  # fmt: skip
    waiting = f"{declared}\ndefine internal i64 @pause() {{\n  {pause}\n  ret i64 0\n}}\n"
    return Part(_POOL, numbers, waiting)
