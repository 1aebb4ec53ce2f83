"""Steps run for one block of rows after the other, as LLVM text: a walk over blocks and stages.

    table = scratch of this thread, of the first thread, lo, hi (blocks), plan, words of all stages
    plan  = most words of a stage, rows of a block, of a run, digits, size of each, stages, then for
            each stage: function, its first word in the table, number of words, shifts, (index)*,
            moves, (index, most, (step for each digit and for the rows)*)*

The number of a block has digits, of which the last counts the blocks of a run of rows; the last of
these may have fewer rows. Of a stage's words, shifts are addresses in the scratch; to a move's word
goes each digit times its step and the number of rows times its own, up to `most`. Comes in: a
step's table.
"""

from __future__ import annotations

CHAIN = """
define void @dualflow_chain(ptr %table) nounwind {
entry:
  %mine = load i64, ptr %table
  %theirs_at = getelementptr i64, ptr %table, i64 1
  %theirs = load i64, ptr %theirs_at
  %shift = sub i64 %mine, %theirs
  %lo_at = getelementptr i64, ptr %table, i64 2
  %lo = load i64, ptr %lo_at
  %hi_at = getelementptr i64, ptr %table, i64 3
  %hi = load i64, ptr %hi_at
  %plan_at = getelementptr i64, ptr %table, i64 4
  %plan = load ptr, ptr %plan_at
  %words = getelementptr i64, ptr %table, i64 5
  %most = load i64, ptr %plan
  %own = alloca i64, i64 %most
  %tall_at = getelementptr i64, ptr %plan, i64 1
  %tall = load i64, ptr %tall_at
  %run_at = getelementptr i64, ptr %plan, i64 2
  %length = load i64, ptr %run_at
  %digits_at = getelementptr i64, ptr %plan, i64 3
  %digits = load i64, ptr %digits_at
  %numbers = add i64 %digits, 1
  %digit = alloca i64, i64 %numbers
  %last = sub i64 %digits, 1
  %last_at = getelementptr i64, ptr %digit, i64 %last
  %rows_at = getelementptr i64, ptr %digit, i64 %digits
  %sizes = getelementptr i64, ptr %plan, i64 4
  %stages_at = getelementptr i64, ptr %sizes, i64 %digits
  %stages = load i64, ptr %stages_at
  %first_stage = getelementptr i64, ptr %stages_at, i64 1
  %move_words = add i64 %digits, 3
  br label %block
block:
  %k = phi i64 [%lo, %entry], [%k1, %block_done]
  %more_blocks = icmp slt i64 %k, %hi
  br i1 %more_blocks, label %split, label %done
split:
  %rest = phi i64 [%k, %block], [%quotient, %split_on]
  %d = phi i64 [%digits, %block], [%d1, %split_on]
  %more_digits = icmp sgt i64 %d, 0
  br i1 %more_digits, label %split_on, label %count_rows
split_on:
  %d1 = sub i64 %d, 1
  %size_at = getelementptr i64, ptr %sizes, i64 %d1
  %size = load i64, ptr %size_at
  %quotient = udiv i64 %rest, %size
  %whole = mul i64 %quotient, %size
  %remainder = sub i64 %rest, %whole
  %digit_at = getelementptr i64, ptr %digit, i64 %d1
  store i64 %remainder, ptr %digit_at
  br label %split
count_rows:
  %v = load i64, ptr %last_at
  %before = mul i64 %v, %tall
  %left = sub i64 %length, %before
  %short = icmp slt i64 %left, %tall
  %rows = select i1 %short, i64 %left, i64 %tall
  store i64 %rows, ptr %rows_at
  br label %stage
stage:
  %s = phi i64 [0, %count_rows], [%s1, %run]
  %at = phi ptr [%first_stage, %count_rows], [%moves_end, %run]
  %more_stages = icmp slt i64 %s, %stages
  br i1 %more_stages, label %prepare, label %block_done
prepare:
  %fn = load ptr, ptr %at
  %first_at = getelementptr i64, ptr %at, i64 1
  %first = load i64, ptr %first_at
  %count_at = getelementptr i64, ptr %at, i64 2
  %count = load i64, ptr %count_at
  %given = getelementptr i64, ptr %words, i64 %first
  %bytes = shl i64 %count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own, ptr %given, i64 %bytes, i1 false)
  %shifts_at = getelementptr i64, ptr %at, i64 3
  %shifts = load i64, ptr %shifts_at
  %shift_list = getelementptr i64, ptr %at, i64 4
  br label %shifting
shifting:
  %h = phi i64 [0, %prepare], [%h1, %shifted]
  %more_shifts = icmp slt i64 %h, %shifts
  br i1 %more_shifts, label %shifted, label %moving
shifted:
  %shift_at = getelementptr i64, ptr %shift_list, i64 %h
  %shift_index = load i64, ptr %shift_at
  %shift_place = getelementptr i64, ptr %own, i64 %shift_index
  %address = load i64, ptr %shift_place
  %address1 = add i64 %address, %shift
  store i64 %address1, ptr %shift_place
  %h1 = add i64 %h, 1
  br label %shifting
moving:
  %moves_at = getelementptr i64, ptr %shift_list, i64 %shifts
  %moves = load i64, ptr %moves_at
  %move_list = getelementptr i64, ptr %moves_at, i64 1
  %all_words = mul i64 %moves, %move_words
  %moves_end = getelementptr i64, ptr %move_list, i64 %all_words
  br label %move
move:
  %m = phi i64 [0, %moving], [%m1, %moved]
  %more_moves = icmp slt i64 %m, %moves
  br i1 %more_moves, label %begin, label %run
begin:
  %offset = mul i64 %m, %move_words
  %one = getelementptr i64, ptr %move_list, i64 %offset
  %index = load i64, ptr %one
  %most_at = getelementptr i64, ptr %one, i64 1
  %bound = load i64, ptr %most_at
  %steps = getelementptr i64, ptr %one, i64 2
  %place = getelementptr i64, ptr %own, i64 %index
  %start = load i64, ptr %place
  br label %sum
sum:
  %e = phi i64 [0, %begin], [%e1, %summed]
  %value = phi i64 [%start, %begin], [%value1, %summed]
  %more_steps = icmp slt i64 %e, %numbers
  br i1 %more_steps, label %summed, label %moved
summed:
  %step_at = getelementptr i64, ptr %steps, i64 %e
  %step = load i64, ptr %step_at
  %now_at = getelementptr i64, ptr %digit, i64 %e
  %now = load i64, ptr %now_at
  %term = mul i64 %step, %now
  %value1 = add i64 %value, %term
  %e1 = add i64 %e, 1
  br label %sum
moved:
  %over = icmp sgt i64 %value, %bound
  %final = select i1 %over, i64 %bound, i64 %value
  store i64 %final, ptr %place
  %m1 = add i64 %m, 1
  br label %move
run:
  call void %fn(ptr %own)
  %s1 = add i64 %s, 1
  br label %stage
block_done:
  %k1 = add i64 %k, 1
  br label %block
done:
  ret void
}
"""
