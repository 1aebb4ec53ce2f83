"""Steps run for one block of rows after the other, as native text: a walk over blocks and stages.

    table = scratch of this thread, of the first thread, lo, hi (blocks), plan, address of a bound,
            words of all stages
    plan  = most words of a stage, rows of a block, of a run, digits, size of each, stages, then for
            each stage: function, its first word in the table, number of words, shifts, (index)*,
            moves, (index, most, grain, (step for each digit and for the rows)*)*

The number of a block has digits, of which the last counts the blocks of a run of rows; the last of
these may have fewer rows. Of a stage's words, shifts are addresses in the scratch; to a move's word
goes each digit times its step and the number of rows times its own, up to `most`. With a grain it
is rounded up to a multiple of that, and at least the bound. Comes in: a step's table.
"""

from __future__ import annotations

CHAIN = """
def dualflow_chain(table):
    shift = table[0] - table[1]
    k = table[2]
    end = table[3]
    plan = table[4]
    bound = table[5]
    least = bound[0]
    own = room(plan[0])
    tall = plan[1]
    digits = plan[3]
    digit = room(digits + 1)
    stages = plan + 32 + 8 * digits
    while k < end:
        rest = k
        d = digits
        while d > 0:
            d -= 1
            size = plan[4 + d]
            digit[d] = rest - rest // size * size
            rest = rest // size
        rows = plan[2] - digit[digits - 1] * tall
        digit[digits] = rows if rows < tall else tall
        at = stages + 8
        s = stages[0]
        while s > 0:
            function = at[0]
            copy(own, table + 48 + 8 * at[1], 8 * at[2])
            n = at[3]
            at += 32
            while n > 0:
                own[at[0]] += shift
                at += 8
                n -= 1
            n = at[0]
            at += 8
            while n > 0:
                value = own[at[0]]
                d = 0
                while d <= digits:
                    value += at[3 + d] * digit[d]
                    d += 1
                grain = at[2]
                if grain > 1:
                    value = (value + grain - 1) // grain * grain
                    value = value if value > least else least
                own[at[0]] = value if value < at[1] else at[1]
                at += 8 * (digits + 4)
                n -= 1
            call(function, own)
            s -= 1
        k += 1
"""
