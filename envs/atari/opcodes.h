/* opcodes.h -- the 256 opcodes of the 6507: XX(code, operation, addressing mode, base cycles).
 * Both interpreters, the decoder and the tests expand this one table.
 *
 * The cycles are the usual ones but for A7h, LAX zero page: the reference takes 4, the chip 3.
 * Modes ending in P pay a cycle more when the indexed address leaves its page. */
#ifndef VLY_ENVS_ATARI_OPCODES_H
#define VLY_ENVS_ATARI_OPCODES_H

/* clang-format off */
#define VLY_OPCODES(XX)                                                                            \
    XX(0x00, BRK, IMP, 7) XX(0x01, ORA, INX, 6) XX(0x02, JAM, IMP, 2) XX(0x03, SLO, INX, 8)        \
    XX(0x04, NOP, ZPG, 3) XX(0x05, ORA, ZPG, 3) XX(0x06, ASL, ZPG, 5) XX(0x07, SLO, ZPG, 5)        \
    XX(0x08, PHP, IMP, 3) XX(0x09, ORA, IMM, 2) XX(0x0a, ASL, ACC, 2) XX(0x0b, ANC, IMM, 2)        \
    XX(0x0c, NOP, ABS, 4) XX(0x0d, ORA, ABS, 4) XX(0x0e, ASL, ABS, 6) XX(0x0f, SLO, ABS, 6)        \
    XX(0x10, BPL, REL, 2) XX(0x11, ORA, INYP, 5) XX(0x12, JAM, IMP, 2) XX(0x13, SLO, INY, 8)       \
    XX(0x14, NOP, ZPX, 4) XX(0x15, ORA, ZPX, 4) XX(0x16, ASL, ZPX, 6) XX(0x17, SLO, ZPX, 6)        \
    XX(0x18, CLC, IMP, 2) XX(0x19, ORA, ABYP, 4) XX(0x1a, NOP, IMP, 2) XX(0x1b, SLO, ABY, 7)       \
    XX(0x1c, NOP, ABXP, 4) XX(0x1d, ORA, ABXP, 4) XX(0x1e, ASL, ABX, 7) XX(0x1f, SLO, ABX, 7)      \
    XX(0x20, JSR, ABS, 6) XX(0x21, AND, INX, 6) XX(0x22, JAM, IMP, 2) XX(0x23, RLA, INX, 8)        \
    XX(0x24, BIT, ZPG, 3) XX(0x25, AND, ZPG, 3) XX(0x26, ROL, ZPG, 5) XX(0x27, RLA, ZPG, 5)        \
    XX(0x28, PLP, IMP, 4) XX(0x29, AND, IMM, 2) XX(0x2a, ROL, ACC, 2) XX(0x2b, ANC, IMM, 2)        \
    XX(0x2c, BIT, ABS, 4) XX(0x2d, AND, ABS, 4) XX(0x2e, ROL, ABS, 6) XX(0x2f, RLA, ABS, 6)        \
    XX(0x30, BMI, REL, 2) XX(0x31, AND, INYP, 5) XX(0x32, JAM, IMP, 2) XX(0x33, RLA, INY, 8)       \
    XX(0x34, NOP, ZPX, 4) XX(0x35, AND, ZPX, 4) XX(0x36, ROL, ZPX, 6) XX(0x37, RLA, ZPX, 6)        \
    XX(0x38, SEC, IMP, 2) XX(0x39, AND, ABYP, 4) XX(0x3a, NOP, IMP, 2) XX(0x3b, RLA, ABY, 7)       \
    XX(0x3c, NOP, ABXP, 4) XX(0x3d, AND, ABXP, 4) XX(0x3e, ROL, ABX, 7) XX(0x3f, RLA, ABX, 7)      \
    XX(0x40, RTI, IMP, 6) XX(0x41, EOR, INX, 6) XX(0x42, JAM, IMP, 2) XX(0x43, SRE, INX, 8)        \
    XX(0x44, NOP, ZPG, 3) XX(0x45, EOR, ZPG, 3) XX(0x46, LSR, ZPG, 5) XX(0x47, SRE, ZPG, 5)        \
    XX(0x48, PHA, IMP, 3) XX(0x49, EOR, IMM, 2) XX(0x4a, LSR, ACC, 2) XX(0x4b, ASR, IMM, 2)        \
    XX(0x4c, JMP, ABS, 3) XX(0x4d, EOR, ABS, 4) XX(0x4e, LSR, ABS, 6) XX(0x4f, SRE, ABS, 6)        \
    XX(0x50, BVC, REL, 2) XX(0x51, EOR, INYP, 5) XX(0x52, JAM, IMP, 2) XX(0x53, SRE, INY, 8)       \
    XX(0x54, NOP, ZPX, 4) XX(0x55, EOR, ZPX, 4) XX(0x56, LSR, ZPX, 6) XX(0x57, SRE, ZPX, 6)        \
    XX(0x58, CLI, IMP, 2) XX(0x59, EOR, ABYP, 4) XX(0x5a, NOP, IMP, 2) XX(0x5b, SRE, ABY, 7)       \
    XX(0x5c, NOP, ABXP, 4) XX(0x5d, EOR, ABXP, 4) XX(0x5e, LSR, ABX, 7) XX(0x5f, SRE, ABX, 7)      \
    XX(0x60, RTS, IMP, 6) XX(0x61, ADC, INX, 6) XX(0x62, JAM, IMP, 2) XX(0x63, RRA, INX, 8)        \
    XX(0x64, NOP, ZPG, 3) XX(0x65, ADC, ZPG, 3) XX(0x66, ROR, ZPG, 5) XX(0x67, RRA, ZPG, 5)        \
    XX(0x68, PLA, IMP, 4) XX(0x69, ADC, IMM, 2) XX(0x6a, ROR, ACC, 2) XX(0x6b, ARR, IMM, 2)        \
    XX(0x6c, JMP, IND, 5) XX(0x6d, ADC, ABS, 4) XX(0x6e, ROR, ABS, 6) XX(0x6f, RRA, ABS, 6)        \
    XX(0x70, BVS, REL, 2) XX(0x71, ADC, INYP, 5) XX(0x72, JAM, IMP, 2) XX(0x73, RRA, INY, 8)       \
    XX(0x74, NOP, ZPX, 4) XX(0x75, ADC, ZPX, 4) XX(0x76, ROR, ZPX, 6) XX(0x77, RRA, ZPX, 6)        \
    XX(0x78, SEI, IMP, 2) XX(0x79, ADC, ABYP, 4) XX(0x7a, NOP, IMP, 2) XX(0x7b, RRA, ABY, 7)       \
    XX(0x7c, NOP, ABXP, 4) XX(0x7d, ADC, ABXP, 4) XX(0x7e, ROR, ABX, 7) XX(0x7f, RRA, ABX, 7)      \
    XX(0x80, NOP, IMM, 2) XX(0x81, STA, INX, 6) XX(0x82, NOP, IMM, 2) XX(0x83, SAX, INX, 6)        \
    XX(0x84, STY, ZPG, 3) XX(0x85, STA, ZPG, 3) XX(0x86, STX, ZPG, 3) XX(0x87, SAX, ZPG, 3)        \
    XX(0x88, DEY, IMP, 2) XX(0x89, NOP, IMM, 2) XX(0x8a, TXA, IMP, 2) XX(0x8b, ANE, IMM, 2)        \
    XX(0x8c, STY, ABS, 4) XX(0x8d, STA, ABS, 4) XX(0x8e, STX, ABS, 4) XX(0x8f, SAX, ABS, 4)        \
    XX(0x90, BCC, REL, 2) XX(0x91, STA, INY, 6) XX(0x92, JAM, IMP, 2) XX(0x93, SHA, INY, 6)        \
    XX(0x94, STY, ZPX, 4) XX(0x95, STA, ZPX, 4) XX(0x96, STX, ZPY, 4) XX(0x97, SAX, ZPY, 4)        \
    XX(0x98, TYA, IMP, 2) XX(0x99, STA, ABY, 5) XX(0x9a, TXS, IMP, 2) XX(0x9b, SHS, ABY, 5)        \
    XX(0x9c, SHY, ABX, 5) XX(0x9d, STA, ABX, 5) XX(0x9e, SHX, ABY, 5) XX(0x9f, SHA, ABY, 5)        \
    XX(0xa0, LDY, IMM, 2) XX(0xa1, LDA, INX, 6) XX(0xa2, LDX, IMM, 2) XX(0xa3, LAX, INX, 6)        \
    XX(0xa4, LDY, ZPG, 3) XX(0xa5, LDA, ZPG, 3) XX(0xa6, LDX, ZPG, 3) XX(0xa7, LAX, ZPG, 4)        \
    XX(0xa8, TAY, IMP, 2) XX(0xa9, LDA, IMM, 2) XX(0xaa, TAX, IMP, 2) XX(0xab, LXA, IMM, 2)        \
    XX(0xac, LDY, ABS, 4) XX(0xad, LDA, ABS, 4) XX(0xae, LDX, ABS, 4) XX(0xaf, LAX, ABS, 4)        \
    XX(0xb0, BCS, REL, 2) XX(0xb1, LDA, INYP, 5) XX(0xb2, JAM, IMP, 2) XX(0xb3, LAX, INYP, 5)      \
    XX(0xb4, LDY, ZPX, 4) XX(0xb5, LDA, ZPX, 4) XX(0xb6, LDX, ZPY, 4) XX(0xb7, LAX, ZPY, 4)        \
    XX(0xb8, CLV, IMP, 2) XX(0xb9, LDA, ABYP, 4) XX(0xba, TSX, IMP, 2) XX(0xbb, LAS, ABYP, 4)      \
    XX(0xbc, LDY, ABXP, 4) XX(0xbd, LDA, ABXP, 4) XX(0xbe, LDX, ABYP, 4) XX(0xbf, LAX, ABYP, 4)    \
    XX(0xc0, CPY, IMM, 2) XX(0xc1, CMP, INX, 6) XX(0xc2, NOP, IMM, 2) XX(0xc3, DCP, INX, 8)        \
    XX(0xc4, CPY, ZPG, 3) XX(0xc5, CMP, ZPG, 3) XX(0xc6, DEC, ZPG, 5) XX(0xc7, DCP, ZPG, 5)        \
    XX(0xc8, INY, IMP, 2) XX(0xc9, CMP, IMM, 2) XX(0xca, DEX, IMP, 2) XX(0xcb, SBX, IMM, 2)        \
    XX(0xcc, CPY, ABS, 4) XX(0xcd, CMP, ABS, 4) XX(0xce, DEC, ABS, 6) XX(0xcf, DCP, ABS, 6)        \
    XX(0xd0, BNE, REL, 2) XX(0xd1, CMP, INYP, 5) XX(0xd2, JAM, IMP, 2) XX(0xd3, DCP, INY, 8)       \
    XX(0xd4, NOP, ZPX, 4) XX(0xd5, CMP, ZPX, 4) XX(0xd6, DEC, ZPX, 6) XX(0xd7, DCP, ZPX, 6)        \
    XX(0xd8, CLD, IMP, 2) XX(0xd9, CMP, ABYP, 4) XX(0xda, NOP, IMP, 2) XX(0xdb, DCP, ABY, 7)       \
    XX(0xdc, NOP, ABXP, 4) XX(0xdd, CMP, ABXP, 4) XX(0xde, DEC, ABX, 7) XX(0xdf, DCP, ABX, 7)      \
    XX(0xe0, CPX, IMM, 2) XX(0xe1, SBC, INX, 6) XX(0xe2, NOP, IMM, 2) XX(0xe3, ISB, INX, 8)        \
    XX(0xe4, CPX, ZPG, 3) XX(0xe5, SBC, ZPG, 3) XX(0xe6, INC, ZPG, 5) XX(0xe7, ISB, ZPG, 5)        \
    XX(0xe8, INX, IMP, 2) XX(0xe9, SBC, IMM, 2) XX(0xea, NOP, IMP, 2) XX(0xeb, SBC, IMM, 2)        \
    XX(0xec, CPX, ABS, 4) XX(0xed, SBC, ABS, 4) XX(0xee, INC, ABS, 6) XX(0xef, ISB, ABS, 6)        \
    XX(0xf0, BEQ, REL, 2) XX(0xf1, SBC, INYP, 5) XX(0xf2, JAM, IMP, 2) XX(0xf3, ISB, INY, 8)       \
    XX(0xf4, NOP, ZPX, 4) XX(0xf5, SBC, ZPX, 4) XX(0xf6, INC, ZPX, 6) XX(0xf7, ISB, ZPX, 6)        \
    XX(0xf8, SED, IMP, 2) XX(0xf9, SBC, ABYP, 4) XX(0xfa, NOP, IMP, 2) XX(0xfb, ISB, ABY, 7)       \
    XX(0xfc, NOP, ABXP, 4) XX(0xfd, SBC, ABXP, 4) XX(0xfe, INC, ABX, 7) XX(0xff, ISB, ABX, 7)
/* clang-format on */

#endif
