"""Kernel texts as LLVM IR: a small front end for the Python that `codegen` and `products` write.

Comes in: a `KernelText` and the words it may call. Goes out: the text of an LLVM module.
"""
