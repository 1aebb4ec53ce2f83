"""The native thread pool, as LLVM text: it divides a kernel's range over threads.

    table = kernel, its words (w), index of its `lo` word, points in a part, parts, most threads,
            bytes of scratch a thread, index of the first scratch word, scratch words, whether it
            is light, (w words)

A part is the kernel on its own table, with `lo` and `hi` narrowed and scratch of its thread. Parts
are claimed one by one by compare-and-swap on (launch, next part), so the caller waits for parts
that others have begun, never for a thread that sleeps. One launch at a time: a caller who finds
the pool busy runs the whole range itself. Threads are started by the first launch that wants them,
with all signals blocked; they look for work for a while, then sleep. To wake them takes the caller
20 us, so a light kernel does it only now and then. Comes in: a step's table.
"""

from __future__ import annotations

import platform
import sys

from .native import fill

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
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
DECLARE_PAUSE

@launch = internal global i32 0, align 64
@claim = internal global i64 0, align 64
@finished = internal global i64 0, align 64
@table = internal global ptr null, align 64
@parts = internal global i64 0
@most = internal global i64 0
@joined = internal global i64 0, align 64
@sleepers = internal global i32 0, align 64
@busy = internal global i32 0, align 64
@started = internal global i64 0
@limit = internal global i64 1
@stopping = internal global i32 0
@launches = internal global i64 0
@missed = internal global i64 0
@handles = internal global [MOST_THREADS x i64] zeroinitializer
@mutex = internal global [16 x i64] zeroinitializer, align 64
@work = internal global [16 x i64] zeroinitializer, align 64

define internal void @part(ptr %t, i64 %k, i64 %thread) nounwind noinline {
entry:
  %fn = load ptr, ptr %t
HEAD
  %words = getelementptr i64, ptr %t, i64 WORDS
  %own = alloca i64, i64 %h1
  %bytes = shl i64 %h1, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own, ptr %words, i64 %bytes, i1 false)
  %lo_at = getelementptr i64, ptr %own, i64 %h2
  %hi_at = getelementptr i64, ptr %lo_at, i64 1
  %lo = load i64, ptr %lo_at
  %hi = load i64, ptr %hi_at
  %step = mul i64 %k, %h3
  %from = add i64 %lo, %step
  %end = add i64 %from, %h3
  %over = icmp sgt i64 %end, %hi
  %to = select i1 %over, i64 %hi, i64 %end
  store i64 %from, ptr %lo_at
  store i64 %to, ptr %hi_at
  %moved = mul i64 %thread, %h6
  %scratch = getelementptr i64, ptr %own, i64 %h7
  br label %next
next:
  %s = phi i64 [0, %entry], [%s1, %move]
  %more = icmp slt i64 %s, %h8
  br i1 %more, label %move, label %go
move:
  %at = getelementptr i64, ptr %scratch, i64 %s
  %shared = load i64, ptr %at
  %mine = add i64 %shared, %moved
  store i64 %mine, ptr %at
  %s1 = add i64 %s, 1
  br label %next
go:
  call void %fn(ptr %own)
  ret void
}

define internal void @parts_of(i32 %number, i64 %thread) nounwind noinline {
entry:
  %wide = zext i32 %number to i64
  %high = shl i64 %wide, 32
  br label %look
look:
  %v = load atomic i64, ptr @claim acquire, align 8
  %its_high = and i64 %v, -4294967296
  %same = icmp eq i64 %its_high, %high
  br i1 %same, label %check, label %out
check:
  %k = and i64 %v, 4294967295
  %t = load ptr, ptr @table
  %n = load i64, ptr @parts
  %left = icmp ult i64 %k, %n
  br i1 %left, label %take, label %out
take:
  %v1 = add i64 %v, 1
  %r = cmpxchg ptr @claim, i64 %v, i64 %v1 acq_rel acquire
  %taken = extractvalue { i64, i1 } %r, 1
  br i1 %taken, label %run, label %look
run:
  call void @part(ptr %t, i64 %k, i64 %thread)
  %d = atomicrmw add ptr @finished, i64 1 acq_rel
  br label %look
out:
  ret void
}

define internal ptr @worker(ptr %nothing) nounwind {
entry:
  %signals = alloca [128 x i8]
  call void @llvm.memset.p0.i64(ptr %signals, i8 -1, i64 128, i1 false)
  %blocked = call i32 @pthread_sigmask(i32 SET_MASK, ptr %signals, ptr null)
  br label %wait
wait:
  %last = phi i32 [0, %entry], [%now, %worked]
  br label %look
look:
  %n = phi i32 [0, %wait], [%n1, %again]
  %e = load atomic i32, ptr @launch acquire, align 4
  %new = icmp ne i32 %e, %last
  br i1 %new, label %go, label %again
again:
  PAUSE
  %n1 = add i32 %n, 1
  %patient = icmp slt i32 %n1, WORKER_LOOKS
  br i1 %patient, label %look, label %tired
tired:
  %a = call i32 @pthread_mutex_lock(ptr @mutex)
  %b = atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %e2 = load atomic i32, ptr @launch seq_cst, align 4
  %new2 = icmp ne i32 %e2, %last
  br i1 %new2, label %wake, label %sleep_on
sleep_on:
  %c = call i32 @pthread_cond_wait(ptr @work, ptr @mutex)
  br label %sleep
wake:
  %d = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  %f = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %go
go:
  %now = load atomic i32, ptr @launch acquire, align 4
  %stop = load atomic i32, ptr @stopping acquire, align 4
  %ends = icmp ne i32 %stop, 0
  br i1 %ends, label %exit, label %join
join:
  %thread = atomicrmw add ptr @joined, i64 1 acq_rel
  %most = load i64, ptr @most
  %wanted = icmp slt i64 %thread, %most
  br i1 %wanted, label %do, label %worked
do:
  call void @parts_of(i32 %now, i64 %thread)
  br label %worked
worked:
  br label %wait
exit:
  ret ptr null
}

define internal void @grow(i64 %wanted) nounwind noinline {
entry:
  br label %next
next:
  %n = load i64, ptr @started
  %few = icmp slt i64 %n, %wanted
  br i1 %few, label %start, label %out
start:
  %handle = getelementptr i64, ptr @handles, i64 %n
  %bad = call i32 @pthread_create(ptr %handle, ptr null, ptr @worker, ptr null)
  %failed = icmp ne i32 %bad, 0
  br i1 %failed, label %fewer, label %one_more
one_more:
  %n1 = add i64 %n, 1
  store i64 %n1, ptr @started
  br label %next
fewer:
  %with_caller = add i64 %n, 1
  store i64 %with_caller, ptr @limit
  br label %out
out:
  ret void
}

define internal void @announce(i64 %helpers) nounwind {
entry:
  %old = load i32, ptr @launch
  %number = add i32 %old, 1
  %wide = zext i32 %number to i64
  %high = shl i64 %wide, 32
  store atomic i64 %high, ptr @claim seq_cst, align 8
  store atomic i32 %number, ptr @launch seq_cst, align 4
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp ne i32 %asleep, 0
  br i1 %any, label %wake, label %out
wake:
  %a = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %signal
signal:
  %k = phi i64 [0, %wake], [%k1, %signal]
  %b = call i32 @pthread_cond_signal(ptr @work)
  %k1 = add i64 %k, 1
  %more = icmp slt i64 %k1, %helpers
  br i1 %more, label %signal, label %woken
woken:
  %c = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %out
out:
  ret void
}

define void @dualflow_parallel(ptr %t) nounwind {
entry:
HEAD
  %limit = load i64, ptr @limit
  %fewer = icmp slt i64 %h5, %limit
  %most = select i1 %fewer, i64 %h5, i64 %limit
  %alone = icmp slt i64 %most, 2
  br i1 %alone, label %serial, label %try
try:
  %r = cmpxchg ptr @busy, i32 0, i32 1 acq_rel acquire
  %mine = extractvalue { i32, i1 } %r, 1
  br i1 %mine, label %start, label %serial
serial:
  %fn = load ptr, ptr %t
  %words = getelementptr i64, ptr %t, i64 WORDS
  call void %fn(ptr %words)
  ret void
start:
  %heavy = icmp eq i64 %h9, 0
  br i1 %heavy, label %go, label %awake
awake:
  %sleeping = load atomic i32, ptr @sleepers seq_cst, align 4
  %all = load i64, ptr @started
  %sleep = sext i32 %sleeping to i64
  %up = icmp slt i64 %sleep, %all
  br i1 %up, label %go, label %asleep
asleep:
  %missed = load i64, ptr @missed
  %missed1 = add i64 %missed, 1
  %enough_missed = icmp sge i64 %missed1, PATIENCE
  %next_missed = select i1 %enough_missed, i64 0, i64 %missed1
  store i64 %next_missed, ptr @missed
  br i1 %enough_missed, label %go, label %let_sleep
let_sleep:
  store atomic i32 0, ptr @busy release, align 4
  br label %serial
go:
  %helpers = sub i64 %most, 1
  %running = load i64, ptr @started
  %enough = icmp sge i64 %running, %helpers
  br i1 %enough, label %publish, label %grow
grow:
  call void @grow(i64 %helpers)
  br label %publish
publish:
  store atomic i64 -1, ptr @claim seq_cst, align 8
  store ptr %t, ptr @table
  store i64 %h4, ptr @parts
  store i64 %most, ptr @most
  store atomic i64 1, ptr @joined seq_cst, align 8
  store atomic i64 0, ptr @finished seq_cst, align 8
  call void @announce(i64 %helpers)
  %number = load i32, ptr @launch
  %launches = load i64, ptr @launches
  %launches1 = add i64 %launches, 1
  store i64 %launches1, ptr @launches
  call void @parts_of(i32 %number, i64 0)
  br label %wait
wait:
  %n = phi i32 [0, %publish], [%n1, %again], [0, %yield]
  %done = load atomic i64, ptr @finished acquire, align 8
  %complete = icmp eq i64 %done, %h4
  br i1 %complete, label %end, label %again
again:
  PAUSE
  %n1 = add i32 %n, 1
  %patient = icmp slt i32 %n1, CALLER_LOOKS
  br i1 %patient, label %wait, label %yield
yield:
  %y = call i32 @sched_yield()
  br label %wait
end:
  store atomic i32 0, ptr @busy release, align 4
  ret void
}

define i64 @dualflow_pool_limit(i64 %threads) nounwind {
  store i64 %threads, ptr @limit
  %n = load i64, ptr @launches
  ret i64 %n
}

define void @dualflow_pool_reset() nounwind {
  store i32 0, ptr @launch
  store i32 0, ptr @sleepers
  store i32 0, ptr @stopping
  store i64 0, ptr @started
  %a = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr @work, ptr null)
  store atomic i32 0, ptr @busy seq_cst, align 4
  ret void
}

define void @dualflow_pool_stop() nounwind {
entry:
  br label %try
try:
  %r = cmpxchg ptr @busy, i32 0, i32 1 acq_rel acquire
  %mine = extractvalue { i32, i1 } %r, 1
  br i1 %mine, label %stop, label %yield
yield:
  %y = call i32 @sched_yield()
  br label %try
stop:
  store i64 1, ptr @limit
  store atomic i32 1, ptr @stopping seq_cst, align 4
  %a = call i32 @pthread_mutex_lock(ptr @mutex)
  %old = load i32, ptr @launch
  %number = add i32 %old, 1
  store atomic i64 -1, ptr @claim seq_cst, align 8
  store atomic i32 %number, ptr @launch seq_cst, align 4
  %b = call i32 @pthread_cond_broadcast(ptr @work)
  %c = call i32 @pthread_mutex_unlock(ptr @mutex)
  %n = load i64, ptr @started
  br label %next
next:
  %k = phi i64 [0, %stop], [%k1, %one]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %one, label %out
one:
  %at = getelementptr i64, ptr @handles, i64 %k
  %handle = load i64, ptr %at
  %d = call i32 @pthread_join(i64 %handle, ptr null)
  %k1 = add i64 %k, 1
  br label %next
out:
  call void @dualflow_pool_reset()
  ret void
}

define void @dualflow_probe(ptr %t) nounwind {
entry:
  %to = load ptr, ptr %t
  %lo_at = getelementptr i64, ptr %t, i64 1
  %lo = load i64, ptr %lo_at
  %hi_at = getelementptr i64, ptr %t, i64 2
  %hi = load i64, ptr %hi_at
  br label %next
next:
  %k = phi i64 [%lo, %entry], [%k1, %one]
  %more = icmp slt i64 %k, %hi
  br i1 %more, label %one, label %out
one:
  %at = getelementptr i64, ptr %to, i64 %k
  %d = atomicrmw add ptr %at, i64 1 monotonic
  %k1 = add i64 %k, 1
  br label %next
out:
  ret void
}
"""
SYMBOLS = (
    "dualflow_parallel", "dualflow_pool_limit", "dualflow_pool_reset", "dualflow_pool_stop",
    "dualflow_probe",
)  # fmt: skip
#: Words of a step's table before those of the kernel.
HEAD = 10


def pool_text() -> str:
    """The pool for this machine."""
    name = platform.machine().lower()
    declare, pause = _PAUSES.get(_ALIASES.get(name, name), ("", ""))
    loads = "\n".join(
        f"  %g{n} = getelementptr i64, ptr %t, i64 {n}\n  %h{n} = load i64, ptr %g{n}"
        for n in range(1, HEAD)
    )
    words = {
        "DECLARE_PAUSE": declare, "PAUSE": pause, "HEAD": loads, "MOST_THREADS": MOST_THREADS,
        "SET_MASK": 3 if sys.platform == "darwin" else 2, "WORKER_LOOKS": WORKER_LOOKS,
        "CALLER_LOOKS": CALLER_LOOKS, "WORDS": HEAD, "PATIENCE": PATIENCE,
    }  # fmt: skip
    return fill(_POOL, words)
