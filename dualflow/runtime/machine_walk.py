"""How the machine walks a block, a tree of blocks and a call (`machine`), as text of `native_text`.

Comes in: nothing. Goes out: `WALK`, functions that use those of `machine_steps`; the last one is
the built-in that takes a call.
"""

WALK = """
@noinline
def execute(w, b, r, given, count, names, late, state):
    constants = b[CONSTANTS]
    copy(r, b + 8 * BLOCK, 8 * constants)
    clear(r + 8 * constants, 8 * (b[REGISTERS] - constants))
    base = b + 8 * (BLOCK + constants)
    pc = base
    handler = 0
    while True:
        found = -1
        made = 0
        length = 5
        match pc[0]:
            case IS: found = r[pc[3]] == pc[4]
            case SAME: found = r[pc[3]] == r[pc[4]]
            case TYPE_IS: found = r[pc[3]].TYPE == pc[4]
            case TRUE_IS:
                found = PyObject_IsTrue(r[pc[3]])
                length = 4
            case HOLDS: found = PySequence_Contains(r[pc[3]], r[pc[4]])
            case LENGTH_IS:
                found = PyObject_Size(r[pc[3]])
                if found >= 0: found = found == pc[4]
            case IN_SPACE:
                if b[ALIVE] != 0: found = is_in(pc[3], pc[4], pc[5])
                length = 6
            case CODE:
                if b[ALIVE] != 0: found = PyFunction_GetCode(pc[3]) == pc[4]
            case ATTRIBUTE:
                found = is_attribute(r[pc[3]], pc[4], pc[5])
                length = 6
            case LAYOUT: found = has_layout(r[pc[3]], w[ARRAY], pc[4])
            case WRITEABLE:
                found = is_writeable(r[pc[3]], w[ARRAY])
                length = 4
            case GIVEN: found = given_as(given, count, names, pc[3], pc[4])
            case APART:
                found = are_apart(w, r, pc[3], pc[4], pc + 40)
                length = pc[3] + 5
            case DIFFERENT:
                found = different(r, pc[3], pc + 32)
                length = pc[3] + 4
            case DISJOINT:
                if b[ALIVE] != 0: found = is_disjoint(pc[3], pc[4])
            case COMPARES:
                found = compares(w, r[pc[3]], r[pc[4]], pc[5])
                length = 6
            case HANDLER:
                handler = pc[1]
                pc += 16
                continue
            case ALIVE_STILL:
                if b[ALIVE] == 0: return MISS
                pc += 8
                continue
            case JUMP:
                pc = base + 8 * pc[1]
                continue
            case GIVE_MISS: return MISS
            case GIVE_STOP: return STOP
            case RETURN:
                b[HITS] += 1
                return held(r[pc[1]])
            case ARGUMENT:
                made = held(given[pc[2]])
                length = 3
            case SPACE:
                if b[ALIVE] != 0: made = read(w, pc[2], pc[3])
                length = 4
            case LATE:
                made = held(late)
                length = 2
            case MOVE:
                made = held(r[pc[2]])
                length = 3
            case UNARY:
                made = call(pc[2], r[pc[3]])
                length = 4
            case BINARY: made = call(pc[2], r[pc[3]], r[pc[4]])
            case RICH: made = PyObject_RichCompare(r[pc[2]], r[pc[3]], pc[4])
            case NEW_TENSOR:
                made = tensor_of(w, r[pc[2]])
                length = 3
            case CALL:
                made = called(r, r[pc[2]], pc[3], pc[4], pc + 40)
                length = pc[4] + 5
            case METHOD:
                made = called_method(r, pc[2], pc[3], pc + 32)
                length = pc[3] + 4
            case TUPLE:
                made = tuple_of(r, pc[2], pc + 24)
                length = pc[2] + 3
            case LIST:
                made = list_of(r, pc[2], pc + 24)
                length = pc[2] + 3
            case DICT:
                made = dict_of(r, pc[2], pc + 24)
                length = 2 * pc[2] + 3
            case OF_STATE:
                made = state_of(state, pc[2], pc[3])
                length = 4
            case TERNARY:
                third = 0
                if pc[4] >= 0: third = r[pc[4]]
                if int_of(call(pc[1], r[pc[2]], r[pc[3]], third)) >= 0:
                    pc += 40
                    continue
            case RUN:
                if compute(w, r, pc) == 0:
                    pc += 8 * pc[1]
                    continue
        if found >= 0:
            pc = next(base, pc, length, found)
            continue
        if made != 0:
            put(r, pc[1], made)
            pc += 8 * length
            continue
        if handler == 0: return FAILED
        if PyErr_Occurred() != 0:
            if not PyErr_ExceptionMatches(w[EXCEPTION]): return FAILED
            PyErr_Clear()
        pc = base + 8 * handler
    return FAILED

def release(r, b):
    k = b[CONSTANTS]
    end = b[REGISTERS]
    while k < end:
        if r[k] != 0: Py_DecRef(r[k])
        k += 1
    return 0

def below(outcomes, found):
    k = outcomes[0]
    while k > 0:
        outcomes += 16
        k -= 1
        if outcomes[-1] == found: return outcomes[0]
    return 0

@noinline
def raised(w, marker):
    error = PyObject_GetAttr(marker, w[ERROR_NAME])
    Py_DecRef(marker)
    if error != 0:
        PyErr_SetObject(error.TYPE, error)
        Py_DecRef(error)
    return FAILED

@noinline
def walk(w, given, count, names, late, state):
    r = room(w[FRAME])
    fork = w[FORK]
    while fork != 0:
        left = fork[0]
        at = fork + 8
        found = MISS
        b = 0
        while left > 0 and found == MISS:
            found = STOP
            b = at[0]
            if b != 0:
                found = MISS
                if b[ALIVE] != 0:
                    found = execute(w, b, r, given, count, names, late, state)
                    release(r, b)
            left -= 1
            at += 16
        if found == FAILED: w[FAILED_CALLS] += 1
        if found == FAILED or found == MISS or found == STOP: return found
        outcomes = at[-1]
        if outcomes == 0:
            w[LAST] = b
            return raised(w, found) if found.TYPE == w[MARKER] else found
        fork = below(outcomes, found)
        Py_DecRef(found)
    return STOP

def fitting_state(w):
    if PyDict_GetItemWithError(w[ACTIVE], w[ACTIVE_NAME]) != w[SETTINGS]: return 0
    state = PyObject_GetAttr(w[STATE], w[DICT_NAME])
    if state == 0: return 0
    Py_DecRef(state)
    found = PyDict_GetItemWithError(state, w[MODE_NAME])
    if found == 0:
        found = PyObject_GetAttr(w[STATE], w[MODE_NAME])
        if found == 0: return 0
        Py_DecRef(found)
    if found.TYPE != w[MODE]: return 0
    slot = room(1)
    slot[0] = 0
    PyContextVar_Get(w[VARIABLE], 0, slot)
    if slot[0] == 0: return 0
    Py_DecRef(slot[0])
    return state if slot[0] == w[ERROR_STATE] else 0

def dualflow_whole_call(self, given, count, names):
    w = self.PAYLOAD
    if names != 0: count += names.LENGTH
    if w[LEFT] > 0:
        found = STOP
        state = fitting_state(w)
        if state != 0:
            late = 0
            if w[LATE_WANTED] != 0:
                late = PyDict_New()
                if late == 0: return 0
            found = walk(w, given, count, names, late, state)
            if late != 0: Py_DecRef(late)
        elif PyErr_Occurred() != 0:
            PyErr_Clear()
        if found != MISS and found != STOP:
            w[LEFT] -= 1
            w[TAKEN] += 1
            return found
    return held(w[MISS_OBJECT])
"""
