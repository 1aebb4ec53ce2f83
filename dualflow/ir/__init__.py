"""The languages of the compiler: Graph (tensors), Kernel (loops), Program (buffers, launches).

Comes in: what the stages build. Goes out: frozen typed records that verify and print.
"""
