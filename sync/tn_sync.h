/* tournant: what tasks wait for each other with. */
#ifndef TN_SYNC_H
#define TN_SYNC_H

#include "tn_mpsc.h"
#include "tn_mutex.h"
#include "tn_notify.h"
#include "tn_oneshot.h"
#include "tn_semaphore.h"

#endif
