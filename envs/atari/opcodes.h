/* opcodes.h -- the 256 opcodes of the 6507: XX(code, operation, addressing mode, kind, base
 * cycles). Both interpreters, the decoder and the tests expand this one table.
 *
 * The kind is what the operation does with its operand: READ, WRITE, MODIFY, or PLAIN where it has
 * none of these; NONE: the fast processor has no handler for it.
 *
 * The cycles are the usual ones but for A7h, LAX zero page: the reference takes 4, the chip 3.
 * Modes ending in P pay a cycle more when the indexed address leaves its page. */
#ifndef VLY_ENVS_ATARI_OPCODES_H
#define VLY_ENVS_ATARI_OPCODES_H

/* clang-format off */
#define VLY_OPCODES(XX)                                                                            \
    XX(0x00, BRK, IMP, NONE, 7) XX(0x01, ORA, INX, READ, 6) \
    XX(0x02, JAM, IMP, NONE, 2) XX(0x03, SLO, INX, MODIFY, 8) \
    XX(0x04, NOP, ZPG, READ, 3) XX(0x05, ORA, ZPG, READ, 3) \
    XX(0x06, ASL, ZPG, MODIFY, 5) XX(0x07, SLO, ZPG, MODIFY, 5) \
    XX(0x08, PHP, IMP, PLAIN, 3) XX(0x09, ORA, IMM, READ, 2) \
    XX(0x0a, ASL, ACC, MODIFY, 2) XX(0x0b, ANC, IMM, READ, 2) \
    XX(0x0c, NOP, ABS, READ, 4) XX(0x0d, ORA, ABS, READ, 4) \
    XX(0x0e, ASL, ABS, MODIFY, 6) XX(0x0f, SLO, ABS, MODIFY, 6) \
    XX(0x10, BPL, REL, PLAIN, 2) XX(0x11, ORA, INYP, READ, 5) \
    XX(0x12, JAM, IMP, NONE, 2) XX(0x13, SLO, INY, MODIFY, 8) \
    XX(0x14, NOP, ZPX, READ, 4) XX(0x15, ORA, ZPX, READ, 4) \
    XX(0x16, ASL, ZPX, MODIFY, 6) XX(0x17, SLO, ZPX, MODIFY, 6) \
    XX(0x18, CLC, IMP, PLAIN, 2) XX(0x19, ORA, ABYP, READ, 4) \
    XX(0x1a, NOP, IMP, READ, 2) XX(0x1b, SLO, ABY, MODIFY, 7) \
    XX(0x1c, NOP, ABXP, READ, 4) XX(0x1d, ORA, ABXP, READ, 4) \
    XX(0x1e, ASL, ABX, MODIFY, 7) XX(0x1f, SLO, ABX, MODIFY, 7) \
    XX(0x20, JSR, ABS, PLAIN, 6) XX(0x21, AND, INX, READ, 6) \
    XX(0x22, JAM, IMP, NONE, 2) XX(0x23, RLA, INX, MODIFY, 8) \
    XX(0x24, BIT, ZPG, READ, 3) XX(0x25, AND, ZPG, READ, 3) \
    XX(0x26, ROL, ZPG, MODIFY, 5) XX(0x27, RLA, ZPG, MODIFY, 5) \
    XX(0x28, PLP, IMP, PLAIN, 4) XX(0x29, AND, IMM, READ, 2) \
    XX(0x2a, ROL, ACC, MODIFY, 2) XX(0x2b, ANC, IMM, READ, 2) \
    XX(0x2c, BIT, ABS, READ, 4) XX(0x2d, AND, ABS, READ, 4) \
    XX(0x2e, ROL, ABS, MODIFY, 6) XX(0x2f, RLA, ABS, MODIFY, 6) \
    XX(0x30, BMI, REL, PLAIN, 2) XX(0x31, AND, INYP, READ, 5) \
    XX(0x32, JAM, IMP, NONE, 2) XX(0x33, RLA, INY, MODIFY, 8) \
    XX(0x34, NOP, ZPX, READ, 4) XX(0x35, AND, ZPX, READ, 4) \
    XX(0x36, ROL, ZPX, MODIFY, 6) XX(0x37, RLA, ZPX, MODIFY, 6) \
    XX(0x38, SEC, IMP, PLAIN, 2) XX(0x39, AND, ABYP, READ, 4) \
    XX(0x3a, NOP, IMP, READ, 2) XX(0x3b, RLA, ABY, MODIFY, 7) \
    XX(0x3c, NOP, ABXP, READ, 4) XX(0x3d, AND, ABXP, READ, 4) \
    XX(0x3e, ROL, ABX, MODIFY, 7) XX(0x3f, RLA, ABX, MODIFY, 7) \
    XX(0x40, RTI, IMP, NONE, 6) XX(0x41, EOR, INX, READ, 6) \
    XX(0x42, JAM, IMP, NONE, 2) XX(0x43, SRE, INX, MODIFY, 8) \
    XX(0x44, NOP, ZPG, READ, 3) XX(0x45, EOR, ZPG, READ, 3) \
    XX(0x46, LSR, ZPG, MODIFY, 5) XX(0x47, SRE, ZPG, MODIFY, 5) \
    XX(0x48, PHA, IMP, PLAIN, 3) XX(0x49, EOR, IMM, READ, 2) \
    XX(0x4a, LSR, ACC, MODIFY, 2) XX(0x4b, ASR, IMM, READ, 2) \
    XX(0x4c, JMP, ABS, PLAIN, 3) XX(0x4d, EOR, ABS, READ, 4) \
    XX(0x4e, LSR, ABS, MODIFY, 6) XX(0x4f, SRE, ABS, MODIFY, 6) \
    XX(0x50, BVC, REL, PLAIN, 2) XX(0x51, EOR, INYP, READ, 5) \
    XX(0x52, JAM, IMP, NONE, 2) XX(0x53, SRE, INY, MODIFY, 8) \
    XX(0x54, NOP, ZPX, READ, 4) XX(0x55, EOR, ZPX, READ, 4) \
    XX(0x56, LSR, ZPX, MODIFY, 6) XX(0x57, SRE, ZPX, MODIFY, 6) \
    XX(0x58, CLI, IMP, PLAIN, 2) XX(0x59, EOR, ABYP, READ, 4) \
    XX(0x5a, NOP, IMP, READ, 2) XX(0x5b, SRE, ABY, MODIFY, 7) \
    XX(0x5c, NOP, ABXP, READ, 4) XX(0x5d, EOR, ABXP, READ, 4) \
    XX(0x5e, LSR, ABX, MODIFY, 7) XX(0x5f, SRE, ABX, MODIFY, 7) \
    XX(0x60, RTS, IMP, PLAIN, 6) XX(0x61, ADC, INX, READ, 6) \
    XX(0x62, JAM, IMP, NONE, 2) XX(0x63, RRA, INX, NONE, 8) \
    XX(0x64, NOP, ZPG, READ, 3) XX(0x65, ADC, ZPG, READ, 3) \
    XX(0x66, ROR, ZPG, MODIFY, 5) XX(0x67, RRA, ZPG, NONE, 5) \
    XX(0x68, PLA, IMP, PLAIN, 4) XX(0x69, ADC, IMM, READ, 2) \
    XX(0x6a, ROR, ACC, MODIFY, 2) XX(0x6b, ARR, IMM, NONE, 2) \
    XX(0x6c, JMP, IND, PLAIN, 5) XX(0x6d, ADC, ABS, READ, 4) \
    XX(0x6e, ROR, ABS, MODIFY, 6) XX(0x6f, RRA, ABS, NONE, 6) \
    XX(0x70, BVS, REL, PLAIN, 2) XX(0x71, ADC, INYP, READ, 5) \
    XX(0x72, JAM, IMP, NONE, 2) XX(0x73, RRA, INY, NONE, 8) \
    XX(0x74, NOP, ZPX, READ, 4) XX(0x75, ADC, ZPX, READ, 4) \
    XX(0x76, ROR, ZPX, MODIFY, 6) XX(0x77, RRA, ZPX, NONE, 6) \
    XX(0x78, SEI, IMP, PLAIN, 2) XX(0x79, ADC, ABYP, READ, 4) \
    XX(0x7a, NOP, IMP, READ, 2) XX(0x7b, RRA, ABY, NONE, 7) \
    XX(0x7c, NOP, ABXP, READ, 4) XX(0x7d, ADC, ABXP, READ, 4) \
    XX(0x7e, ROR, ABX, MODIFY, 7) XX(0x7f, RRA, ABX, NONE, 7) \
    XX(0x80, NOP, IMM, READ, 2) XX(0x81, STA, INX, WRITE, 6) \
    XX(0x82, NOP, IMM, READ, 2) XX(0x83, SAX, INX, WRITE, 6) \
    XX(0x84, STY, ZPG, WRITE, 3) XX(0x85, STA, ZPG, WRITE, 3) \
    XX(0x86, STX, ZPG, WRITE, 3) XX(0x87, SAX, ZPG, WRITE, 3) \
    XX(0x88, DEY, IMP, PLAIN, 2) XX(0x89, NOP, IMM, READ, 2) \
    XX(0x8a, TXA, IMP, PLAIN, 2) XX(0x8b, ANE, IMM, NONE, 2) \
    XX(0x8c, STY, ABS, WRITE, 4) XX(0x8d, STA, ABS, WRITE, 4) \
    XX(0x8e, STX, ABS, WRITE, 4) XX(0x8f, SAX, ABS, WRITE, 4) \
    XX(0x90, BCC, REL, PLAIN, 2) XX(0x91, STA, INY, WRITE, 6) \
    XX(0x92, JAM, IMP, NONE, 2) XX(0x93, SHA, INY, NONE, 6) \
    XX(0x94, STY, ZPX, WRITE, 4) XX(0x95, STA, ZPX, WRITE, 4) \
    XX(0x96, STX, ZPY, WRITE, 4) XX(0x97, SAX, ZPY, WRITE, 4) \
    XX(0x98, TYA, IMP, PLAIN, 2) XX(0x99, STA, ABY, WRITE, 5) \
    XX(0x9a, TXS, IMP, PLAIN, 2) XX(0x9b, SHS, ABY, NONE, 5) \
    XX(0x9c, SHY, ABX, NONE, 5) XX(0x9d, STA, ABX, WRITE, 5) \
    XX(0x9e, SHX, ABY, NONE, 5) XX(0x9f, SHA, ABY, NONE, 5) \
    XX(0xa0, LDY, IMM, READ, 2) XX(0xa1, LDA, INX, READ, 6) \
    XX(0xa2, LDX, IMM, READ, 2) XX(0xa3, LAX, INX, READ, 6) \
    XX(0xa4, LDY, ZPG, READ, 3) XX(0xa5, LDA, ZPG, READ, 3) \
    XX(0xa6, LDX, ZPG, READ, 3) XX(0xa7, LAX, ZPG, READ, 4) \
    XX(0xa8, TAY, IMP, PLAIN, 2) XX(0xa9, LDA, IMM, READ, 2) \
    XX(0xaa, TAX, IMP, PLAIN, 2) XX(0xab, LXA, IMM, NONE, 2) \
    XX(0xac, LDY, ABS, READ, 4) XX(0xad, LDA, ABS, READ, 4) \
    XX(0xae, LDX, ABS, READ, 4) XX(0xaf, LAX, ABS, READ, 4) \
    XX(0xb0, BCS, REL, PLAIN, 2) XX(0xb1, LDA, INYP, READ, 5) \
    XX(0xb2, JAM, IMP, NONE, 2) XX(0xb3, LAX, INYP, READ, 5) \
    XX(0xb4, LDY, ZPX, READ, 4) XX(0xb5, LDA, ZPX, READ, 4) \
    XX(0xb6, LDX, ZPY, READ, 4) XX(0xb7, LAX, ZPY, READ, 4) \
    XX(0xb8, CLV, IMP, PLAIN, 2) XX(0xb9, LDA, ABYP, READ, 4) \
    XX(0xba, TSX, IMP, PLAIN, 2) XX(0xbb, LAS, ABYP, NONE, 4) \
    XX(0xbc, LDY, ABXP, READ, 4) XX(0xbd, LDA, ABXP, READ, 4) \
    XX(0xbe, LDX, ABYP, READ, 4) XX(0xbf, LAX, ABYP, READ, 4) \
    XX(0xc0, CPY, IMM, READ, 2) XX(0xc1, CMP, INX, READ, 6) \
    XX(0xc2, NOP, IMM, READ, 2) XX(0xc3, DCP, INX, MODIFY, 8) \
    XX(0xc4, CPY, ZPG, READ, 3) XX(0xc5, CMP, ZPG, READ, 3) \
    XX(0xc6, DEC, ZPG, MODIFY, 5) XX(0xc7, DCP, ZPG, MODIFY, 5) \
    XX(0xc8, INY, IMP, PLAIN, 2) XX(0xc9, CMP, IMM, READ, 2) \
    XX(0xca, DEX, IMP, PLAIN, 2) XX(0xcb, SBX, IMM, READ, 2) \
    XX(0xcc, CPY, ABS, READ, 4) XX(0xcd, CMP, ABS, READ, 4) \
    XX(0xce, DEC, ABS, MODIFY, 6) XX(0xcf, DCP, ABS, MODIFY, 6) \
    XX(0xd0, BNE, REL, PLAIN, 2) XX(0xd1, CMP, INYP, READ, 5) \
    XX(0xd2, JAM, IMP, NONE, 2) XX(0xd3, DCP, INY, MODIFY, 8) \
    XX(0xd4, NOP, ZPX, READ, 4) XX(0xd5, CMP, ZPX, READ, 4) \
    XX(0xd6, DEC, ZPX, MODIFY, 6) XX(0xd7, DCP, ZPX, MODIFY, 6) \
    XX(0xd8, CLD, IMP, PLAIN, 2) XX(0xd9, CMP, ABYP, READ, 4) \
    XX(0xda, NOP, IMP, READ, 2) XX(0xdb, DCP, ABY, MODIFY, 7) \
    XX(0xdc, NOP, ABXP, READ, 4) XX(0xdd, CMP, ABXP, READ, 4) \
    XX(0xde, DEC, ABX, MODIFY, 7) XX(0xdf, DCP, ABX, MODIFY, 7) \
    XX(0xe0, CPX, IMM, READ, 2) XX(0xe1, SBC, INX, READ, 6) \
    XX(0xe2, NOP, IMM, READ, 2) XX(0xe3, ISB, INX, NONE, 8) \
    XX(0xe4, CPX, ZPG, READ, 3) XX(0xe5, SBC, ZPG, READ, 3) \
    XX(0xe6, INC, ZPG, MODIFY, 5) XX(0xe7, ISB, ZPG, NONE, 5) \
    XX(0xe8, INX, IMP, PLAIN, 2) XX(0xe9, SBC, IMM, READ, 2) \
    XX(0xea, NOP, IMP, READ, 2) XX(0xeb, SBC, IMM, READ, 2) \
    XX(0xec, CPX, ABS, READ, 4) XX(0xed, SBC, ABS, READ, 4) \
    XX(0xee, INC, ABS, MODIFY, 6) XX(0xef, ISB, ABS, NONE, 6) \
    XX(0xf0, BEQ, REL, PLAIN, 2) XX(0xf1, SBC, INYP, READ, 5) \
    XX(0xf2, JAM, IMP, NONE, 2) XX(0xf3, ISB, INY, NONE, 8) \
    XX(0xf4, NOP, ZPX, READ, 4) XX(0xf5, SBC, ZPX, READ, 4) \
    XX(0xf6, INC, ZPX, MODIFY, 6) XX(0xf7, ISB, ZPX, NONE, 6) \
    XX(0xf8, SED, IMP, PLAIN, 2) XX(0xf9, SBC, ABYP, READ, 4) \
    XX(0xfa, NOP, IMP, READ, 2) XX(0xfb, ISB, ABY, NONE, 7) \
    XX(0xfc, NOP, ABXP, READ, 4) XX(0xfd, SBC, ABXP, READ, 4) \
    XX(0xfe, INC, ABX, MODIFY, 7) XX(0xff, ISB, ABX, NONE, 7)
/* clang-format on */

#endif
