/* tournant: everything. */
#ifndef TN_H
#define TN_H

#include "tn_blocking.h"
#include "tn_combine.h"
#include "tn_fs.h"
#include "tn_group.h"
#include "tn_names.h"
#include "tn_net.h"
#include "tn_ready_set.h"
#include "tn_runtime.h"
#include "tn_signal.h"
#include "tn_sync.h"

#endif
