"""Runs what Triton's compiler makes of a kernel, on NumPy arrays, without a GPU.

Triton's own interpreter runs the Python text of a kernel. This package compiles the kernel
to Triton's IR (TTIR) for an H100 and runs that, so it also sees what the compiler's front
end got wrong. Below TTIR (layouts, shared memory, PTX) nothing is run.
"""
