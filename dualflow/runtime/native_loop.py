"""The dispatcher's loop: code run many times, on bases that are exchanged and move, as LLVM text.

    table = address of the status word, code, count, number of bases, plan, address of the clock,
            number of copies, then a base each but for the first two, then (from, to, bytes)*
    plan  = for each base, whose address it has in the next step, and the bytes it moves by

Comes in: a step's table. Goes out: the status of the first step that sets one, where it stops.
"""

from __future__ import annotations

LOOP = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define void @dualflow_loop(ptr %table) nounwind {
entry:
  %status_word = load i64, ptr %table
  %status = inttoptr i64 %status_word to ptr
  %code_at = getelementptr i64, ptr %table, i64 1
  %code = load ptr, ptr %code_at
  %count_at = getelementptr i64, ptr %table, i64 2
  %count = load i64, ptr %count_at
  %size_at = getelementptr i64, ptr %table, i64 3
  %size = load i64, ptr %size_at
  %plan_at = getelementptr i64, ptr %table, i64 4
  %plan = load ptr, ptr %plan_at
  %clock_at = getelementptr i64, ptr %table, i64 5
  %clock = load ptr, ptr %clock_at
  %copies_at = getelementptr i64, ptr %table, i64 6
  %copies = load i64, ptr %copies_at
  %bases = alloca i64, i64 %size
  %later = alloca i64, i64 %size
  %bytes = shl i64 %size, 3
  %given = getelementptr i64, ptr %table, i64 5
  call void @llvm.memcpy.p0.p0.i64(ptr %bases, ptr %given, i64 %bytes, i1 false)
  store i64 0, ptr %bases
  %second = getelementptr i64, ptr %bases, i64 1
  store i64 0, ptr %second
  %first_copy = getelementptr i64, ptr %given, i64 %size
  br label %copy
copy:
  %c = phi i64 [0, %entry], [%c1, %copied]
  %more_copies = icmp slt i64 %c, %copies
  br i1 %more_copies, label %copied, label %step
copied:
  %c3 = mul i64 %c, 3
  %from_at = getelementptr i64, ptr %first_copy, i64 %c3
  %from = load ptr, ptr %from_at
  %to_at = getelementptr i64, ptr %from_at, i64 1
  %to = load ptr, ptr %to_at
  %length_at = getelementptr i64, ptr %from_at, i64 2
  %length = load i64, ptr %length_at
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %length, i1 false)
  %c1 = add i64 %c, 1
  br label %copy
step:
  %k = phi i64 [0, %copy], [%k1, %moved]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %run, label %done
run:
  store i64 %k, ptr %clock
  %found = call i64 @dualflow_run(ptr %bases, ptr %code)
  %bad = icmp ne i64 %found, 0
  br i1 %bad, label %fail, label %move
move:
  %b = phi i64 [0, %run], [%b1, %moving]
  %more_bases = icmp slt i64 %b, %size
  br i1 %more_bases, label %moving, label %moved
moving:
  %b2 = shl i64 %b, 1
  %following_at = getelementptr i64, ptr %plan, i64 %b2
  %following = load i64, ptr %following_at
  %by_at = getelementptr i64, ptr %following_at, i64 1
  %by = load i64, ptr %by_at
  %now_at = getelementptr i64, ptr %bases, i64 %following
  %now = load i64, ptr %now_at
  %then = add i64 %now, %by
  %then_at = getelementptr i64, ptr %later, i64 %b
  store i64 %then, ptr %then_at
  %b1 = add i64 %b, 1
  br label %move
moved:
  call void @llvm.memcpy.p0.p0.i64(ptr %bases, ptr %later, i64 %bytes, i1 false)
  %k1 = add i64 %k, 1
  br label %step
fail:
  store i64 %found, ptr %status
  br label %done
done:
  ret void
}
"""
