/* fast6507_handlers.h -- the code of the fast processor's handlers, as macros: an operation (DO_LDA),
 * an addressing mode with a kind of access (HANDLERS_ZPG_READ); for the one function of fast6507.c,
 * whose variables they name. An opcode's handlers are those of its row in opcodes.h. */
#ifndef VLY_ENVS_ATARI_FAST6507_HANDLERS_H
#define VLY_ENVS_ATARI_FAST6507_HANDLERS_H

/* The operations on the registers a, x, y, c, nz, overflow. nz: zero flag is (uint8_t)nz == 0,
 * negative is nz & 180h, so that BIT and PLP can set them apart. */
#define DO_LDA(v) \
    a = (v);      \
    nz = a;
#define DO_LDX(v) \
    x = (v);      \
    nz = x;
#define DO_LDY(v) \
    y = (v);      \
    nz = y;
#define DO_LAX(v) \
    a = x = (v);  \
    nz = a;
#define DO_ORA(v) \
    a |= (v);     \
    nz = a;
#define DO_AND(v) \
    a &= (v);     \
    nz = a;
#define DO_EOR(v) \
    a ^= (v);     \
    nz = a;
#define DO_ADC(v)                                       \
    {                                                   \
        uint8_t v_ = (v);                               \
        if (__builtin_expect(decimal, 0)) {             \
            a = vly_decimal_add(a, v_, &c, &overflow);  \
        } else {                                        \
            unsigned sum_ = (unsigned)a + v_ + c;       \
            overflow = (a ^ sum_) & (v_ ^ sum_) & 0x80; \
            c = sum_ >> 8;                              \
            a = (uint8_t)sum_;                          \
        }                                               \
        nz = a;                                         \
    }
#define DO_SBC(v)                                                      \
    {                                                                  \
        uint8_t v_ = (v);                                              \
        if (__builtin_expect(decimal, 0)) {                            \
            a = vly_decimal_subtract(a, v_, &c, &overflow);            \
        } else {                                                       \
            unsigned inv_ = v_ ^ 0xffu, sum_ = (unsigned)a + inv_ + c; \
            overflow = (a ^ sum_) & (inv_ ^ sum_) & 0x80;              \
            c = sum_ >> 8;                                             \
            a = (uint8_t)sum_;                                         \
        }                                                              \
        nz = a;                                                        \
    }
#define COMPARE(reg, v)                      \
    {                                        \
        unsigned t_ = (unsigned)(reg) - (v); \
        c = (t_ >> 31) ^ 1;                  \
        nz = (uint8_t)t_;                    \
    }
#define DO_CMP(v) COMPARE(a, (uint8_t)(v))
#define DO_CPX(v) COMPARE(x, (uint8_t)(v))
#define DO_CPY(v) COMPARE(y, (uint8_t)(v))
#define DO_BIT(v)                         \
    {                                     \
        unsigned v_ = (uint8_t)(v);       \
        nz = (v_ & a) | (v_ & 0x80) << 1; \
        overflow = v_ & 0x40;             \
    }
#define DO_NOP(v) (void)(v);
#define DO_ANC(v) \
    a &= (v);     \
    nz = a;       \
    c = a >> 7;
#define DO_ASR(v) \
    a &= (v);     \
    c = a & 1;    \
    a >>= 1;      \
    nz = a;
#define DO_SBX(v)                                       \
    {                                                   \
        unsigned t_ = (unsigned)(a & x) - (uint8_t)(v); \
        c = (t_ >> 31) ^ 1;                             \
        x = (uint8_t)t_;                                \
        nz = x;                                         \
    }
#define FROM_STA a
#define FROM_STX x
#define FROM_STY y
#define FROM_SAX (a & x)
#define CHANGE_ASL(v)      \
    c = v >> 7;            \
    v = (uint8_t)(v << 1); \
    nz = v;
#define CHANGE_LSR(v) \
    c = v & 1;        \
    v >>= 1;          \
    nz = v;
#define CHANGE_ROL(v)                       \
    {                                       \
        unsigned t_ = (unsigned)v << 1 | c; \
        c = t_ >> 8;                        \
        v = (uint8_t)t_;                    \
        nz = v;                             \
    }
#define CHANGE_ROR(v)             \
    {                             \
        unsigned t_ = v | c << 8; \
        c = v & 1;                \
        v = (uint8_t)(t_ >> 1);   \
        nz = v;                   \
    }
#define CHANGE_INC(v) \
    ++v;              \
    nz = v;
#define CHANGE_DEC(v) \
    --v;              \
    nz = v;
#define CHANGE_SLO(v)     \
    CHANGE_ASL(v) a |= v; \
    nz = a;
#define CHANGE_RLA(v)     \
    CHANGE_ROL(v) a &= v; \
    nz = a;
#define CHANGE_SRE(v)     \
    CHANGE_LSR(v) a ^= v; \
    nz = a;
#define CHANGE_DCP(v) \
    --v;              \
    COMPARE(a, v)

/* ---- handlers by addressing mode ---- */
#define L(code, variant) L_##code##_##variant
#define NEXT(n) \
    ip += (n);  \
    goto *(base + ip->handler)
#define CYCLES(n) cycles += (n)

/* Stores the registers in the machine, for the general bus. */
#define SYNC_CYCLES m->cycles = cycles
#define IO_READ(address, last)                                               \
    (SYNC_CYCLES, r->logged = (int)(log - r->log), r->bus = (uint8_t)(last), \
     io_value = io_read(r, (uint16_t)(address)), log = r->log + r->logged, io_value)
#define IO_WRITE(address, value)                        \
    SYNC_CYCLES;                                        \
    r->logged = (int)(log - r->log);                    \
    io_write(r, (uint16_t)(address), (uint8_t)(value)); \
    log = r->log + r->logged;                           \
    cycles = m->cycles

#define HANDLERS_IMM_READ(code, op, n) \
    L(code, 0) : CYCLES(n);            \
    DO_##op((uint8_t)ip->operand) NEXT(2);
#define HANDLERS_IMP_READ(code, op, n) HANDLERS_IMP_##op(code, n)
#define HANDLERS_IMP_PLAIN(code, op, n) HANDLERS_IMP_##op(code, n)
#define HANDLERS_ABS_PLAIN(code, op, n) HANDLERS_ABS_##op(code)
#define HANDLERS_ACC_MODIFY(code, op, n) \
    L(code, 0) : CYCLES(n);              \
    CHANGE_##op(a) NEXT(1);
#define HANDLERS_REL_PLAIN(code, op, n)                                    \
    L(code, 0) : CYCLES(2);                                                \
    if (TAKEN_##op) {                                                      \
        cycles += ip->cycles;                                              \
        ip += (int16_t)ip->operand;                                        \
        if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    }                                                                      \
    NEXT(2);
#define TAKEN_BPL !(nz & 0x180)
#define TAKEN_BMI (nz & 0x180)
#define TAKEN_BVC !overflow
#define TAKEN_BVS overflow
#define TAKEN_BCC !c
#define TAKEN_BCS c
#define TAKEN_BNE (uint8_t) nz
#define TAKEN_BEQ !(uint8_t)nz

#define HANDLERS_ZPG_READ(code, op, n) \
    L(code, 0) : CYCLES(n);            \
    DO_##op(ram[ip->operand]) NEXT(2); \
    L(code, 1) : CYCLES(n);            \
    DO_##op(IO_READ(ip->operand, ip->bus)) NEXT(2);
#define LOG_WRITE(n_bytes, value)                              \
    if (__builtin_expect(cycles >= line_limit, 0)) {           \
        IO_WRITE(ip->operand >> 8, value);                     \
        ip += n_bytes;                                         \
        goto stopped;                                          \
    }                                                          \
    *log++ = ((uint32_t)cycles << 14) + ip->operand + (value); \
    NEXT(n_bytes);
#define STOP_WRITE(n_bytes, value)     \
    IO_WRITE(ip->operand >> 8, value); \
    ip += n_bytes;                     \
    if (r->stop) goto stopped;         \
    NEXT(0);
#define HANDLERS_ZPG_WRITE(code, op, n) \
    L(code, 0) : CYCLES(n);             \
    ram[ip->operand] = FROM_##op;       \
    NEXT(2);                            \
    L(code, 1) : CYCLES(n);             \
    LOG_WRITE(2, FROM_##op)             \
    L(code, 2) : CYCLES(n);             \
    STOP_WRITE(2, FROM_##op)
#define HANDLERS_ZPG_MODIFY(code, op, n)     \
    L(code, 0) : CYCLES(n);                  \
    {                                        \
        uint8_t v = ram[ip->operand];        \
        CHANGE_##op(v) ram[ip->operand] = v; \
    }                                        \
    NEXT(2);

#define HANDLERS_ABS_READ(code, op, n)              \
    L(code, 0) : CYCLES(n);                         \
    DO_##op(ram[ip->operand]) NEXT(3);              \
    L(code, 1) : CYCLES(n);                         \
    DO_##op((uint8_t)ip->operand) NEXT(3);          \
    L(code, 2) : CYCLES(n);                         \
    DO_##op(IO_READ(ip->operand, ip->bus)) NEXT(3); \
    L(code, 3) : CYCLES(n);                         \
    DO_##op(CART_BYTE(ip->operand)) NEXT(3);
#define HANDLERS_ABS_WRITE(code, op, n)               \
    L(code, 0) : CYCLES(n);                           \
    ram[ip->operand] = FROM_##op;                     \
    NEXT(3);                                          \
    L(code, 1) : CYCLES(n);                           \
    LOG_WRITE(3, FROM_##op)                           \
    L(code, 2) : CYCLES(n);                           \
    if (ip->operand & 0x1080) { /* RIOT, cartridge */ \
        IO_WRITE(ip->operand, FROM_##op);             \
        NEXT(3);                                      \
    }                                                 \
    STOP_WRITE(3, FROM_##op)
#define HANDLERS_ABS_MODIFY(code, op, n)     \
    L(code, 0) : CYCLES(n);                  \
    {                                        \
        uint8_t v = ram[ip->operand];        \
        CHANGE_##op(v) ram[ip->operand] = v; \
    }                                        \
    NEXT(3);

#define HANDLERS_ZPI_READ(code, op, n, index)         \
    L(code, 0) : {                                    \
        unsigned at = (uint8_t)(ip->operand + index); \
        CYCLES(n);                                    \
        if (__builtin_expect(at & 0x80, 1)) {         \
            DO_##op(ram[at & 0x7f])                   \
        } else {                                      \
            DO_##op(IO_READ(at, ip->bus))             \
        }                                             \
        NEXT(2);                                      \
    }
#define HANDLERS_ZPX_READ(code, op, n) HANDLERS_ZPI_READ(code, op, n, x)
#define HANDLERS_ZPY_READ(code, op, n) HANDLERS_ZPI_READ(code, op, n, y)
/* A write to an address known when decoding: RAM or TIA. */
#define WRITE_AT(at, value, n_bytes)                           \
    if ((at)&0x80) {                                           \
        ram[(at)&0x7f] = (uint8_t)(value);                     \
        NEXT(n_bytes);                                         \
    }                                                          \
    if (is_plain_register((at)&0x3f) && cycles < line_limit) { \
        *log++ = VLY_LOG(cycles, (at)&0x3f, (uint8_t)(value)); \
        NEXT(n_bytes);                                         \
    }                                                          \
    IO_WRITE((at)&0x3f, value);                                \
    ip += (n_bytes);                                           \
    if (r->stop) goto stopped;                                 \
    NEXT(0);
#define HANDLERS_ZPI_WRITE(code, op, n, index)        \
    L(code, 0) : {                                    \
        unsigned at = (uint8_t)(ip->operand + index); \
        CYCLES(n);                                    \
        WRITE_AT(at, FROM_##op, 2)                    \
    }
#define HANDLERS_ZPX_WRITE(code, op, n) HANDLERS_ZPI_WRITE(code, op, n, x)
#define HANDLERS_ZPY_WRITE(code, op, n) HANDLERS_ZPI_WRITE(code, op, n, y)
#define HANDLERS_ZPX_MODIFY(code, op, n)                  \
    L(code, 0) : {                                        \
        unsigned at = (uint8_t)(ip->operand + x);         \
        if (__builtin_expect(!(at & 0x80), 0)) goto slow; \
        uint8_t v = ram[at & 0x7f];                       \
        CYCLES(n);                                        \
        CHANGE_##op(v) ram[at & 0x7f] = v;                \
        NEXT(2);                                          \
    }

#define CART_BYTE(at) pages[(at) >> 10 & 15][(at)&0x3ff]
#define IS_PLAIN(at) (((at)&0x1000) && ((at)&0xfff) - plain_from < plain_span)
/* Any address. Hot spots are left to the general path before anything is done, because they
 * change the window. */
#define READ_ANYWHERE(at, extra, op, n, n_bytes, last) \
    if (__builtin_expect(IS_PLAIN(at), 1)) {           \
        CYCLES((n) + (extra));                         \
        DO_##op(CART_BYTE(at)) NEXT(n_bytes);          \
    }                                                  \
    if (((at)&0x1fc0) >= 0x1fc0) goto slow;            \
    CYCLES((n) + (extra));                             \
    if (((at)&0x1280) == 0x80) {                       \
        DO_##op(ram[(at)&0x7f])                        \
    } else {                                           \
        DO_##op(IO_READ(at, last))                     \
    }                                                  \
    NEXT(n_bytes);
#define WRITE_ANYWHERE(at, op, n, n_bytes)                             \
    if (((at)&0x1fc0) >= 0x1fc0) goto slow;                            \
    CYCLES(n);                                                         \
    if (__builtin_expect(((at)&0x1000) || ((at)&0x280) == 0x280, 0)) { \
        IO_WRITE(at, FROM_##op);                                       \
        NEXT(n_bytes);                                                 \
    }                                                                  \
    WRITE_AT(at, FROM_##op, n_bytes)

#define HANDLERS_ABI_READ(code, op, n, index)           \
    L(code, 0) : {                                      \
        unsigned at = (uint16_t)(ip->operand + index);  \
        int extra = ((at ^ ip->operand) & 0xff00) != 0; \
        READ_ANYWHERE(at, extra, op, n, 3, ip->bus)     \
    }                                                   \
    L(code, 1) : {                                      \
        unsigned low = ip->operand & 0xffu;             \
        CYCLES((n) + (int)((low + index) >> 8));        \
        DO_##op(image[ip->operand + index]) NEXT(3);    \
    }
#define HANDLERS_ABXP_READ(code, op, n) HANDLERS_ABI_READ(code, op, n, x)
#define HANDLERS_ABYP_READ(code, op, n) HANDLERS_ABI_READ(code, op, n, y)
#define HANDLERS_ABX_WRITE(code, op, n)            \
    L(code, 0) : {                                 \
        unsigned at = (uint16_t)(ip->operand + x); \
        WRITE_ANYWHERE(at, op, n, 3)               \
    }
#define HANDLERS_ABY_WRITE(code, op, n)            \
    L(code, 0) : {                                 \
        unsigned at = (uint16_t)(ip->operand + y); \
        WRITE_ANYWHERE(at, op, n, 3)               \
    }
#define HANDLERS_ABI_MODIFY(code, op, n, index)        \
    L(code, 0) : {                                     \
        unsigned at = (uint16_t)(ip->operand + index); \
        if ((at & 0x1280) != 0x80) goto slow;          \
        uint8_t v = ram[at & 0x7f];                    \
        CYCLES(n);                                     \
        CHANGE_##op(v) ram[at & 0x7f] = v;             \
        NEXT(3);                                       \
    }
#define HANDLERS_ABX_MODIFY(code, op, n) HANDLERS_ABI_MODIFY(code, op, n, x)
#define HANDLERS_ABY_MODIFY(code, op, n) HANDLERS_ABI_MODIFY(code, op, n, y)

#define POINTER(at) (ram[at] | (unsigned)ram[(at) + 1] << 8)
#define HANDLERS_INYP_READ(code, op, n)                                  \
    L(code, 0) : {                                                       \
        unsigned from = POINTER(ip->operand), at = (uint16_t)(from + y); \
        int extra = ((at ^ from) & 0xff00) != 0;                         \
        READ_ANYWHERE(at, extra, op, n, 2, from >> 8)                    \
    }
#define HANDLERS_INY_WRITE(code, op, n)                     \
    L(code, 0) : {                                          \
        unsigned at = (uint16_t)(POINTER(ip->operand) + y); \
        WRITE_ANYWHERE(at, op, n, 2)                        \
    }
#define HANDLERS_INX_READ(code, op, n)                 \
    L(code, 0) : {                                     \
        unsigned pointer = (uint8_t)(ip->operand + x); \
        if (!vly_fast_is_pointer(pointer)) goto slow;  \
        unsigned at = POINTER(pointer & 0x7f);         \
        READ_ANYWHERE(at, 0, op, n, 2, at >> 8)        \
    }
#define HANDLERS_INX_WRITE(code, op, n)                \
    L(code, 0) : {                                     \
        unsigned pointer = (uint8_t)(ip->operand + x); \
        if (!vly_fast_is_pointer(pointer)) goto slow;  \
        unsigned at = POINTER(pointer & 0x7f);         \
        WRITE_ANYWHERE(at, op, n, 2)                   \
    }
#define HANDLERS_INX_MODIFY(code, op, n)
#define HANDLERS_INY_MODIFY(code, op, n)
#define HANDLERS_IMP_NONE(code, op, n)
#define HANDLERS_IMM_NONE(code, op, n)
#define HANDLERS_ZPG_NONE(code, op, n)
#define HANDLERS_ZPX_NONE(code, op, n)
#define HANDLERS_ABS_NONE(code, op, n)
#define HANDLERS_ABX_NONE(code, op, n)
#define HANDLERS_ABY_NONE(code, op, n)
#define HANDLERS_ABYP_NONE(code, op, n)
#define HANDLERS_INX_NONE(code, op, n)
#define HANDLERS_INY_NONE(code, op, n)

/* Instructions without an operand. */
#define SIMPLE(code, n, body) \
    L(code, 0) : CYCLES(n);   \
    body;                     \
    NEXT(1);
#define HANDLERS_IMP_NOP(code, n) SIMPLE(code, n, )
#define HANDLERS_IMP_CLC(code, n) SIMPLE(code, n, c = 0)
#define HANDLERS_IMP_SEC(code, n) SIMPLE(code, n, c = 1)
#define HANDLERS_IMP_CLI(code, n) SIMPLE(code, n, interrupt = 0)
#define HANDLERS_IMP_SEI(code, n) SIMPLE(code, n, interrupt = VLY_I)
#define HANDLERS_IMP_CLD(code, n) SIMPLE(code, n, decimal = 0)
#define HANDLERS_IMP_SED(code, n) SIMPLE(code, n, decimal = 1)
#define HANDLERS_IMP_CLV(code, n) SIMPLE(code, n, overflow = 0)
#define HANDLERS_IMP_TAX(code, n) SIMPLE(code, n, nz = x = a)
#define HANDLERS_IMP_TAY(code, n) SIMPLE(code, n, nz = y = a)
#define HANDLERS_IMP_TXA(code, n) SIMPLE(code, n, nz = a = x)
#define HANDLERS_IMP_TYA(code, n) SIMPLE(code, n, nz = a = y)
#define HANDLERS_IMP_TSX(code, n) SIMPLE(code, n, nz = x = sp)
#define HANDLERS_IMP_TXS(code, n) SIMPLE(code, n, sp = x)
#define HANDLERS_IMP_INX(code, n) SIMPLE(code, n, nz = ++x)
#define HANDLERS_IMP_INY(code, n) SIMPLE(code, n, nz = ++y)
#define HANDLERS_IMP_DEX(code, n) SIMPLE(code, n, nz = --x)
#define HANDLERS_IMP_DEY(code, n) SIMPLE(code, n, nz = --y)
/* The stack, where it is in RAM. */
#define HANDLERS_IMP_PHA(code, n) \
    L(code, 0) : CYCLES(n);       \
    {                             \
        unsigned at = sp--;       \
        WRITE_AT(at, a, 1)        \
    }
#define HANDLERS_IMP_PHP(code, n)     \
    L(code, 0) : CYCLES(n);           \
    {                                 \
        unsigned at = sp--;           \
        WRITE_AT(at, FLAGS | 0x30, 1) \
    }
#define HANDLERS_IMP_PLA(code, n)                                                          \
    L(code, 0) : CYCLES(n);                                                                \
    if (__builtin_expect(sp < 0x80 || sp == 0xff, 0)) { /* it reads the old place first */ \
        a = IO_READ(0x100 + sp, code);                                                     \
        ++sp;                                                                              \
        a = IO_READ(0x100 + sp, a);                                                        \
    } else {                                                                               \
        a = ram[++sp & 0x7f];                                                              \
    }                                                                                      \
    nz = a;                                                                                \
    NEXT(1);
#define HANDLERS_IMP_PLP(code, n)                        \
    L(code, 0) : if (sp < 0x80 || sp == 0xff) goto slow; \
    CYCLES(n);                                           \
    {                                                    \
        uint8_t v = ram[++sp & 0x7f];                    \
        SET_FLAGS(v);                                    \
    }                                                    \
    NEXT(1);
#define HANDLERS_IMP_RTS(code, n)                        \
    L(code, 0) : if (sp < 0x80 || sp >= 0xfe) goto slow; \
    CYCLES(n);                                           \
    pc = (uint16_t)(POINTER((sp + 1) & 0x7f) + 1);       \
    r->bus = ram[(sp + 2) & 0x7f];                       \
    sp += 2;                                             \
    goto jump;

#define FLAGS                                                                             \
    (uint8_t)((nz & 0x180 ? VLY_N : 0) | (overflow ? VLY_V : 0) | (decimal ? VLY_D : 0) | \
              interrupt | ((uint8_t)nz ? 0 : VLY_Z) | c)
#define SET_FLAGS(v)                                        \
    nz = ((v)&VLY_Z ? 0u : 1u) | ((v)&VLY_N ? 0x100u : 0u); \
    overflow = (v)&VLY_V;                                   \
    decimal = ((v)&VLY_D) != 0;                             \
    interrupt = (v)&VLY_I;                                  \
    c = (v)&VLY_C

/* A jump inside the window keeps it; any other looks up its own. */
#define HANDLERS_ABS_JMP(code)                                         \
    L(code, 0) : CYCLES(3);                                            \
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    window_pc = ip->operand & 0xf000;                                  \
    ip = first + (ip->operand & 0xfff);                                \
    NEXT(0);                                                           \
    L(code, 1) : CYCLES(3);                                            \
    pc = ip->operand;                                                  \
    r->bus = (uint8_t)(pc >> 8);                                       \
    goto jump;
#define PUSH_RETURN                                \
    pc = (uint16_t)(window_pc + (ip - first) + 2); \
    ram[sp & 0x7f] = (uint8_t)(pc >> 8);           \
    ram[(sp - 1) & 0x7f] = (uint8_t)pc;            \
    sp -= 2;
#define HANDLERS_ABS_JSR(code)                                         \
    L(code, 0) : if (sp < 0x81) goto slow;                             \
    CYCLES(6);                                                         \
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    PUSH_RETURN                                                        \
    window_pc = ip->operand & 0xf000;                                  \
    ip = first + (ip->operand & 0xfff);                                \
    NEXT(0);                                                           \
    L(code, 1) : if (sp < 0x81) goto slow;                             \
    CYCLES(6);                                                         \
    PUSH_RETURN                                                        \
    pc = ip->operand;                                                  \
    r->bus = (uint8_t)(pc >> 8);                                       \
    goto jump;
#define HANDLERS_IND_PLAIN(code, op, n)  \
    L(code, 0) : CYCLES(n);              \
    pc = (uint16_t)POINTER(ip->operand); \
    r->bus = (uint8_t)(pc >> 8);         \
    goto jump;

/* How many forms an opcode has. */
#define LABEL(code, variant) \
    [code * 4 + variant] = (int32_t)((char *)&&L(code, variant) - (char *)&&slow),
#define LABELS_0(code)
#define LABELS_1(code) LABEL(code, 0)
#define LABELS_2(code) LABEL(code, 0) LABEL(code, 1)
#define LABELS_3(code) LABEL(code, 0) LABEL(code, 1) LABEL(code, 2)
#define LABELS_4(code) LABEL(code, 0) LABEL(code, 1) LABEL(code, 2) LABEL(code, 3)
#define FORMS_IMM_READ LABELS_1
#define FORMS_IMP_READ LABELS_1
#define FORMS_IMP_PLAIN LABELS_1
#define FORMS_ACC_MODIFY LABELS_1
#define FORMS_REL_PLAIN LABELS_1
#define FORMS_ZPG_READ LABELS_2
#define FORMS_ZPG_WRITE LABELS_3
#define FORMS_ZPG_MODIFY LABELS_1
#define FORMS_ABS_READ LABELS_4
#define FORMS_ABS_WRITE LABELS_3
#define FORMS_ABS_MODIFY LABELS_1
#define FORMS_ABS_PLAIN LABELS_2
#define FORMS_ZPX_READ LABELS_1
#define FORMS_ZPX_WRITE LABELS_1
#define FORMS_ZPX_MODIFY LABELS_1
#define FORMS_ZPY_READ LABELS_1
#define FORMS_ZPY_WRITE LABELS_1
#define FORMS_ABXP_READ LABELS_2
#define FORMS_ABYP_READ LABELS_2
#define FORMS_ABX_WRITE LABELS_1
#define FORMS_ABY_WRITE LABELS_1
#define FORMS_ABX_MODIFY LABELS_1
#define FORMS_ABY_MODIFY LABELS_1
#define FORMS_INX_READ LABELS_1
#define FORMS_INX_WRITE LABELS_1
#define FORMS_INX_MODIFY LABELS_0
#define FORMS_INYP_READ LABELS_1
#define FORMS_INY_WRITE LABELS_1
#define FORMS_INY_MODIFY LABELS_0
#define FORMS_IND_PLAIN LABELS_1
#define FORMS_IMP_NONE LABELS_0
#define FORMS_IMM_NONE LABELS_0
#define FORMS_ZPG_NONE LABELS_0
#define FORMS_ZPX_NONE LABELS_0
#define FORMS_ABS_NONE LABELS_0
#define FORMS_ABX_NONE LABELS_0
#define FORMS_ABY_NONE LABELS_0
#define FORMS_ABYP_NONE LABELS_0
#define FORMS_INX_NONE LABELS_0
#define FORMS_INY_NONE LABELS_0
#define SPECIAL(number, label) [number] = (int32_t)((char *)&&label - (char *)&&slow),

/* The halt lasts until the line's end, and the next access draws everything before it anyway:
 * not logged. */
#define WSYNC(n_bytes)                               \
    cycles += ip->cycles;                            \
    if (__builtin_expect(cycles >= line_limit, 0)) { \
        IO_WRITE(VLY_WSYNC, 0);                      \
        ip += (n_bytes);                             \
        goto stopped;                                \
    }                                                \
    cycles += vly_bus_halt(cycles, frame_cycle);     \
    NEXT(n_bytes);

/* A loop that waits for the timer: every iteration reads a value that continues the loop, until
 * the read at cycle `until` or later. The iterations before that are skipped, the last one is
 * run. */
#define TIMER_READ(reg)                     \
    CYCLES(4);                              \
    reg = vly_riot_timer(&m->riot, cycles); \
    nz = reg;
#define WAIT_TIMER(reg, bpl)                                           \
    cycles += vly_fast_wait(&m->riot, cycles + 4, ip->cycles, bpl);    \
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long; \
    TIMER_READ(reg)                                                    \
    NEXT(3);
/* A loop that counts a register down: all iterations but the last at once. */
#define SPIN(reg, bpl)                                                 \
    {                                                                  \
        uint8_t next_ = (uint8_t)(reg - 1);                            \
        int32_t more = (bpl) ? (next_ & 0x80 ? 0 : next_ + 1) : next_; \
        cycles += more * ip->cycles;                                   \
        reg = (uint8_t)(reg - more);                                   \
    }                                                                  \
    CYCLES(2);                                                         \
    nz = --reg;                                                        \
    NEXT(1);

#endif
