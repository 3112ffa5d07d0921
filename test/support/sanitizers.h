/* SPDX-License-Identifier: MIT */
/* Which sanitizer the tests are built with: each is 0 or 1. */
#ifndef SANITIZERS_H
#define SANITIZERS_H

#ifndef __has_feature /* gcc says it by macros of its own */
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TT_TSAN 1
#else
#define TT_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define TT_ASAN 1
#else
#define TT_ASAN 0
#endif

#define TT_SANITIZED (TT_TSAN || TT_ASAN)

/* What longjmp(3) reports to AddressSanitizer: the frames of this stack, an alternate one included, will not return. */
#if TT_ASAN
void __asan_handle_no_return(void);
#define tt_leave_frames() __asan_handle_no_return()
#else
#define tt_leave_frames() ((void)0)
#endif

#endif
