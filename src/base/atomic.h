/* SPDX-License-Identifier: MIT
 *
 * Atomic access to plain fields, so that public structs need no _Atomic (which C++ does not know).
 * Everything is sequentially consistent unless its name says otherwise.
 *
 * A store is written as an exchange. On x86 that is the instruction it would be anyway; and where
 * aarch64 is emulated on x86 (seen with QEMU 7.2), a plain store is overtaken by later loads.
 *
 * Fields are words: for less, some processors (riscv64) take another library.
 */
#ifndef JG_BASE_ATOMIC_H
#define JG_BASE_ATOMIC_H

/* The pointer, if it is to a word; else it does not compile. */
#define JG__WORD(pointer) ((pointer) + 0 * sizeof(char[sizeof(*(pointer)) >= sizeof(int) ? 1 : -1]))

#define jg__load(pointer)                 __atomic_load_n(pointer, __ATOMIC_SEQ_CST)
#define jg__load_relaxed(pointer)         __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define jg__store(pointer, value)         ((void)jg__exchange(pointer, value))
#define jg__store_relaxed(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
#define jg__exchange(pointer, value)      __atomic_exchange_n(JG__WORD(pointer), value, __ATOMIC_SEQ_CST)
#define jg__fetch_or(pointer, value)      __atomic_fetch_or(JG__WORD(pointer), value, __ATOMIC_SEQ_CST)
#define jg__fetch_and(pointer, value)     __atomic_fetch_and(JG__WORD(pointer), value, __ATOMIC_SEQ_CST)
#define jg__fetch_add(pointer, value)     __atomic_fetch_add(JG__WORD(pointer), value, __ATOMIC_SEQ_CST)
#define jg__fetch_sub(pointer, value)     __atomic_fetch_sub(JG__WORD(pointer), value, __ATOMIC_SEQ_CST)

/* Put `value` there if `*expected` is there; else learn in *expected what is. May fail for no
 * reason. */
#define jg__compare_exchange(pointer, expected, value)                                      \
    __atomic_compare_exchange_n(JG__WORD(pointer), expected, value, true, __ATOMIC_SEQ_CST, \
                                __ATOMIC_RELAXED)

#endif
