/* tournant: what tasks wait for each other with. */
#ifndef TN_SYNC_H
#define TN_SYNC_H

#include "tn_barrier.h"
#include "tn_broadcast.h"
#include "tn_mpsc.h"
#include "tn_mutex.h"
#include "tn_notify.h"
#include "tn_once.h"
#include "tn_oneshot.h"
#include "tn_rwlock.h"
#include "tn_semaphore.h"
#include "tn_token.h"
#include "tn_wait_group.h"
#include "tn_watch.h"

#endif
