// All kernels, as one piece of device code.
#include "forward.cu"
#include "resident.cu"
