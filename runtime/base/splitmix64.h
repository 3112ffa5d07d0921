/* SPDX-License-Identifier: MIT */
/* The generator splitmix64 (Steele, Lea, Flood, 2014), for numbers that follow from a seed. */
#ifndef TNI_SPLITMIX64_H
#define TNI_SPLITMIX64_H

#include <stdint.h>

/* Added to the state for each number. */
#define TNI_SPLITMIX64_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The number that belongs to a state. */
static inline uint64_t tni_splitmix64_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
