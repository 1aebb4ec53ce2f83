"""Kernels as source text: one file a backend, `emit(kernel) -> KernelText`.

Comes in: `ir.kernel.Kernel`. Goes out: text that `runtime/` compiles and runs.
"""
