"""Programs and arrays on an NVIDIA GPU: kernel texts in, launches out; CuPy holds the memory.

libraries.py   CuPy and CUDA's driver, imported when first needed; what is wrong without them
memory.py      arrays there and back, streams, statistics
narrow.py      arrays of floats that CuPy lacks
images.py      text and variant -> machine code, from the disk cache or compiled beside
launching.py   machine code -> launches
gemm.py        products, by cuBLAS on addresses
library_ops.py ops that no kernel holds, by CuPy or, counted, by NumPy
places.py      where the operands of a program lie; steps.py: its steps, bound to that
tuning.py      steps that can run in several ways: the fastest is measured and kept
graphs.py      programs as CUDA graphs
program.py     Program -> something to run
"""
