"""The dispatcher's loop: code run many times, on bases that are exchanged and move, as native text.

    table = address of the status word, code, count, number of bases, plan, address of the clock,
            number of copies, then a base each but for the first two, then (from, to, bytes)*
    plan  = for each base, whose address it has in the next step, and the bytes it moves by

Comes in: a step's table. Goes out: the status of the first step that sets one, where it stops.
"""

from __future__ import annotations

LOOP = """
def dualflow_loop(table):
    code = table[1]
    count = table[2]
    size = table[3]
    plan = table[4]
    clock = table[5]
    bases = room(size)
    later = room(size)
    copy(bases, table + 40, 8 * size)
    bases[0] = 0
    bases[1] = 0
    at = table + 40 + 8 * size
    end = at + 24 * table[6]
    while at < end:
        copy(at[1], at[0], at[2])
        at += 24
    k = 0
    while k < count:
        clock[0] = k
        found = dualflow_run(bases, code)
        if found != 0:
            table[0][0] = found
            return 0
        b = 0
        while b < size:
            later[b] = bases[plan[2 * b]] + plan[2 * b + 1]
            b += 1
        copy(bases, later, 8 * size)
        k += 1
"""
