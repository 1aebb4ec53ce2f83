"""What single instructions of the machine do (`machine.Do`), as text of `native_text`.

Comes in: nothing. Goes out: `STEPS`, functions of the words of a call (`w`), its registers (`r`)
and operands; -1 and 0 for an object say that a Python exception is set, or that this is no call
for the machine.
"""

STEPS = """
PyObject_SetAttr: int
PyObject_SetItem: int
PyObject_IsTrue: int
PySequence_Contains: int
PyErr_ExceptionMatches: int
PyContextVar_Get: int
PyDict_SetItem: int
PyDict_Next: int
PySet_Contains: int

def put(r, d, made):
    before = r[d]
    r[d] = made
    if before != 0: Py_DecRef(before)
    return 0

def held(made):
    Py_IncRef(made)
    return made

def next(base, pc, length, found):
    if found == pc[1]: return base + 8 * pc[2]
    return pc + 8 * length

def is_attribute(object, name, wanted):
    found = PyObject_GetAttr(object, name)
    if found == 0: return -1
    Py_DecRef(found)
    return found == wanted

def is_in(space, name, wanted):
    found = PyDict_GetItemWithError(space, name)
    if found == 0 and PyErr_Occurred() != 0: return -1
    return found == wanted

def is_disjoint(space, names):
    at = room(3)
    at[0] = 0
    while PyDict_Next(space, at, at + 8, at + 16) != 0:
        key = held(at[1])
        found = PySet_Contains(names, key)
        Py_DecRef(key)
        if found != 0: return 0 if found > 0 else -1
    return 1

def floats_compare(a, b, how):
    match how:
        case LT: return less(a, b)
        case LE: return less(a, b) | equal(a, b)
        case EQ: return equal(a, b)
        case NE: return 1 - equal(a, b)
        case GT: return less(b, a)
        case GE: return less(b, a) | equal(a, b)

def state_of(space, name, otherwise):
    found = PyDict_GetItemWithError(space, name)
    if found != 0: return held(found)
    if PyErr_Occurred() != 0: return 0
    return held(otherwise)

def compares(w, a, b, how):
    if a.TYPE == w[FLOAT_TYPE] and b.TYPE == w[FLOAT_TYPE]:
        return floats_compare(a.FLOAT, b.FLOAT, how)
    if a == b and a.TYPE == w[STR_TYPE]: return how == LE or how == EQ or how == GE
    made = PyObject_RichCompare(a, b, how)
    if made == 0: return -1
    found = PyObject_IsTrue(made)
    Py_DecRef(made)
    return found

def read(w, space, name):
    found = PyDict_GetItemWithError(space, name)
    if found != 0: return held(found)
    if PyErr_Occurred() == 0: PyErr_SetObject(w[KEY_ERROR], name)
    return 0

def equal_words(a, b, n):
    k = 0
    while k < n:
        if a[k] != b[k]: return 0
        k += 1
    return 1

def has_layout(a, array, layout):
    if a.TYPE != array: return 0
    axes = int32(a + AXES)
    if axes != layout[0] or a.DTYPE != layout[1]: return 0
    if not equal_words(a.SIZES, layout + 16, axes): return 0
    return equal_words(a.STRIDES, layout + 16 + 8 * axes, axes)

def is_writeable(a, array):
    if a.TYPE != array: return 0
    return int32(a + FLAGS) >> WRITEABLE_BIT & 1

def given_as(given, count, names, wanted, wanted_names):
    if count != wanted: return 0
    n = 0
    if names != 0: n = names.LENGTH
    if n != wanted_names.LENGTH: return 0
    return equal_words(names + ITEMS, wanted_names + ITEMS, n)

def reach(array, edges):
    axes = int32(array + AXES)
    sizes = array.SIZES
    strides = array.STRIDES
    low = array.DATA
    high = low + MOST_ITEMSIZE
    k = 0
    while k < axes:
        if sizes[k] == 0: return 0
        span = (sizes[k] - 1) * strides[k]
        if span < 0: low += span
        else: high += span
        k += 1
    edges[0] = low
    edges[1] = high
    return 0

@noinline
def are_apart(w, r, count, written, numbers):
    keys = room(count)
    edges = room(2 * count)
    clear(edges, 16 * count)
    k = 0
    while k < count:
        tensor = r[numbers[k]]
        if tensor.TYPE != w[TENSOR_TYPE]: return 0
        keys[k] = tensor
        storage = PyObject_GetAttr(tensor, w[STORAGE_NAME])
        if storage == 0: return -1
        Py_DecRef(storage)
        if storage != w[NONE]:
            keys[k] = storage
            exposed = is_attribute(storage, w[EXPOSED_NAME], w[TRUE])
            if exposed < 0: return -1
            if exposed:
                array = PyObject_GetAttr(tensor, w[ARRAY_NAME])
                if array == 0: return -1
                Py_DecRef(array)
                if array.TYPE != w[ARRAY]: return 0
                reach(array, edges + 16 * k)
        k += 1
    k = 0
    while k < written:
        j = k + 1
        while j < count:
            if edges[2 * k] < edges[2 * j + 1] and edges[2 * j] < edges[2 * k + 1]: return 0
            j += 1
        k += 1
    return all_differ(keys, count, written)

def all_differ(keys, count, first):
    k = 0
    while k < first:
        j = k + 1
        while j < count:
            if keys[j] == keys[k]: return 0
            j += 1
        k += 1
    return 1

@noinline
def different(r, count, numbers):
    keys = room(count)
    k = 0
    while k < count:
        keys[k] = r[numbers[k]]
        k += 1
    return all_differ(keys, count, count)

@noinline
def called(r, function, names, count, numbers):
    given = room(count + 1)
    k = 0
    while k < count:
        given[k + 1] = r[numbers[k]]
        k += 1
    n = count
    if names != 0: n -= names.LENGTH
    return PyObject_Vectorcall(function, given + 8, n | 1 << 63, names)

@noinline
def called_method(r, name, count, numbers):
    given = room(count + 1)
    k = 0
    while k < count:
        given[k + 1] = r[numbers[k]]
        k += 1
    return PyObject_VectorcallMethod(name, given + 8, count | 1 << 63, 0)

def tuple_of(r, count, numbers):
    made = PyTuple_New(count)
    k = 0
    while made != 0 and k < count:
        PyTuple_SetItem(made, k, held(r[numbers[k]]))
        k += 1
    return made

def list_of(r, count, numbers):
    made = PyList_New(count)
    k = 0
    while made != 0 and k < count:
        PyList_SetItem(made, k, held(r[numbers[k]]))
        k += 1
    return made

@noinline
def dict_of(r, count, numbers):
    made = PyDict_New()
    k = 0
    while made != 0 and k < count:
        if PyDict_SetItem(made, r[numbers[2 * k]], r[numbers[2 * k + 1]]) < 0:
            Py_DecRef(made)
            return 0
        k += 1
    return made

def tensor_of(w, array):
    made = PyType_GenericAlloc(w[TENSOR_TYPE], 0)
    if made == 0: return 0
    if PyObject_SetAttr(made, w[ARRAY_NAME], array) < 0:
        Py_DecRef(made)
        return 0
    return made

def number_word(w, kind, object, to):
    if object.TYPE == w[FLOAT_TYPE]:
        if kind == INT64: return 0
        bits = object.FLOAT
    else:
        if object.TYPE != w[INT_TYPE]: return 0
        bits = PyLong_AsLongLong(object)
        if bits == -1 and PyErr_Occurred() != 0: return 0
        if kind != INT64:
            if bits > EXACT or bits < -EXACT: return 0
            bits = float64(bits)
    to[0] = bits
    if kind == FLOAT32:
        to[0] = float32(bits)
        return bits & INFINITE == INFINITE or to[0] & INFINITE32 != INFINITE32
    return 1

def run_program(run, bases, code, release):
    if release == 0: return call(run, bases, code)
    thread = PyEval_SaveThread()
    status = call(run, bases, code)
    PyEval_RestoreThread(thread)
    return status

def obtain(w, r, at, bases, count):
    while count > 0:
        made = 0
        if at[0] < 0:
            made = PyObject_CallNoArgs(at[2])
        else:
            Py_IncRef(at[2])
            made = call(w[EMPTY], at[0], at[1], at[2], 0)
        if made == 0: return 1
        put(r, at[3], made)
        bases[0] = made.DATA
        bases += 8
        at += 32
        count -= 1
    return 0

@noinline
def compute(w, r, pc):
    inputs = pc[4]
    outputs = pc[5]
    bases = room(inputs + outputs + 3)
    numbers = room(inputs)
    bases[0] = 0
    at = pc + 56
    k = 0
    while k < inputs:
        object = r[at[1]]
        if at[0] == ARRAY_INPUT:
            if object.TYPE != w[ARRAY]: return 1
            bases[k + 2] = object.DATA
        else:
            if not number_word(w, at[0], object, numbers + 8 * k): return 1
            bases[k + 2] = numbers + 8 * k
        at += 16
        k += 1
    if obtain(w, r, at, bases + 8 * k + 16, outputs): return 1
    memory = 0
    arena = 0
    if pc[3] > MOST_STACK:
        memory = PyMem_RawMalloc(pc[3] + 64)
        if memory == 0: return 1
        arena = memory + 63 & -64
    elif pc[3] > 0: arena = room((pc[3] >> 3) + 8)
    bases[inputs + outputs + 2] = arena
    status = run_program(w[RUN_CODE], bases, pc[2], pc[6])
    if memory != 0: PyMem_RawFree(memory)
    return status
"""
