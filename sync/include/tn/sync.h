/* SPDX-License-Identifier: MIT */
/* tournant: all synchronization primitives: locks, semaphores, channels, cancellation tokens. */
#ifndef TN_SYNC_H
#define TN_SYNC_H

#include <tn/backoff.h>
#include <tn/barrier.h>
#include <tn/broadcast.h>
#include <tn/cancel_token.h>
#include <tn/mpsc.h>
#include <tn/mutex.h>
#include <tn/notify.h>
#include <tn/once.h>
#include <tn/oneshot.h>
#include <tn/rate_limiter.h>
#include <tn/resource_pool.h>
#include <tn/rwlock.h>
#include <tn/semaphore.h>
#include <tn/task_tracker.h>
#include <tn/wait_group.h>
#include <tn/watch.h>

#endif
