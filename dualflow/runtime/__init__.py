"""Programs made to run: kernels compiled, cached, loaded; memory; the native dispatcher.

Comes in: `ir.program.Program` and `ir.text.KernelText`. Goes out: `cpu.Executable`, run on arrays.
"""
