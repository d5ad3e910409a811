"""Arrays on the device as other libraries have them, which share their memory by one protocol each."""

import numpy as np
from fastnn.kernels.cuda import jit
from fastnn.kernels.cuda.jit import cuda

from fastnn.data import device_array


class Interface:
    """Another library's array that has ``__cuda_array_interface__`` alone; its memory is that of the simulator."""

    def __init__(self, array, writeable=False, **more):
        self.memory = cuda.to_device(np.asarray(array).copy())
        if jit.SIMULATED:
            interface = {"data": (self.memory._ary.ctypes.data, not writeable), "strides": array.strides}
            interface["strides"] = self.memory._ary.strides
        else:
            interface = dict(self.memory.__cuda_array_interface__)
        base = {"shape": array.shape, "typestr": array.dtype.str, "version": 3}
        self.__cuda_array_interface__ = interface | base | more


class Capsule:
    """Another library's array that has DLPack alone."""

    def __init__(self, array):
        self.array = np.ascontiguousarray(array) if jit.SIMULATED else device_array.send(array)
        self.streams = []

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, stream=None, **options):
        self.streams.append(stream)
        return self.array.__dlpack__(**options)


KINDS = {"interface": Interface, "DLPack": Capsule, "Numba's": lambda array: cuda.to_device(array.copy())}
