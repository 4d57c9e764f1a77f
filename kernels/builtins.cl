// The built-in functions that kernels call, for programs that do without the compiler's own declarations of
// all of them (src/device/program.c says where and why). Names, types and attributes are the same: to declare one twice
// does no harm, and a call of one that is missing here does not build.

#define PURE __attribute__((overloadable, const))
#define READS __attribute__((overloadable, pure))
#define WRITES __attribute__((overloadable))

size_t PURE get_global_id(uint);
size_t PURE get_local_id(uint);
size_t PURE get_group_id(uint);
size_t PURE get_num_groups(uint);
void __attribute__((overloadable, convergent)) barrier(cl_mem_fence_flags);

int PURE isnan(float);
int PURE isfinite(float);

#define INTEGER(type)          \
    type PURE min(type, type); \
    type PURE max(type, type);
INTEGER(int)
INTEGER(uint)
INTEGER(long)
INTEGER(ulong)

#define ARITHMETIC(real, unsigned_integer, convert) \
    real PURE fma(real, real, real);                \
    real PURE fmin(real, real);                     \
    real PURE fmax(real, real);                     \
    real PURE exp(real);                            \
    real PURE log(real);                            \
    real PURE tanh(real);                           \
    real PURE sqrt(real);                           \
    real PURE fabs(real);                           \
    real PURE floor(real);                          \
    real PURE copysign(real, real);                 \
    real PURE convert(unsigned_integer);            \
    unsigned_integer PURE mul_hi(unsigned_integer, unsigned_integer);
ARITHMETIC(float, uint, convert_float)
ARITHMETIC(float2, uint2, convert_float2)
ARITHMETIC(float4, uint4, convert_float4)
ARITHMETIC(float8, uint8, convert_float8)
ARITHMETIC(float16, uint16, convert_float16)

#define CODES(n)                              \
    float##n PURE convert_float##n(uchar##n); \
    uchar##n PURE convert_uchar##n(float##n);
CODES(2)
CODES(4)
CODES(8)
CODES(16)

#define MOVE_IN(space, type, n)                         \
    type##n READS vload##n(size_t, const space type *); \
    void WRITES vstore##n(type##n, size_t, space type *);
#define MOVE(type, n) MOVE_IN(__global, type, n) MOVE_IN(__local, type, n) MOVE_IN(__private, type, n)
#define VECTOR(n)  \
    MOVE(float, n) \
    MOVE(int, n)   \
    MOVE(uint, n)  \
    MOVE(uchar, n) \
    float##n READS vload_half##n(size_t, const __global half *);
VECTOR(2)
VECTOR(4)
VECTOR(8)
VECTOR(16)
float READS vload_half(size_t, const __global half *);

#undef PURE
#undef READS
#undef WRITES
#undef INTEGER
#undef ARITHMETIC
#undef CODES
#undef MOVE_IN
#undef MOVE
#undef VECTOR
