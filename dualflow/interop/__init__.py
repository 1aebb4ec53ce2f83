"""Other libraries and files: what they need beyond the Array API, DLPack and `np.asarray`.

Comes in: tensors, files. Goes out: tensors; `einops` knows them once `dualflow.interop.einops` is
imported.
"""
