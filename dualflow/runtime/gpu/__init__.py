"""Programs and arrays on an NVIDIA GPU: kernel texts in, launches out; CuPy holds the memory.

libraries.py   CuPy and CUDA's driver, imported when first needed; what is wrong without them
memory.py      arrays there and back, streams, statistics
images.py      text and variant -> machine code, from the disk cache or compiled beside
launching.py   machine code -> launches
library_ops.py ops that no kernel holds, by CuPy or, counted, by NumPy
program.py     Program -> something to run
"""
