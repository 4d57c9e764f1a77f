// In front of every kernel: the offset idiom.
//
// A tensor argument is a buffer and the index of its first element: TENSOR(const float, x) declares both, AT(x) moves the
// pointer. OpenCL 1.2 cannot pass a pointer into the middle of a buffer, and sub-buffers need an alignment that views lack.

#define TENSOR(type, name) __global type *restrict name, const ulong name##_offset
#define AT(name) name += name##_offset
