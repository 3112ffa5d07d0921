/* tournant: everything. */
#ifndef TN_H
#define TN_H

#include "tn_combine.h"
#include "tn_group.h"
#include "tn_net.h"
#include "tn_ready_set.h"
#include "tn_runtime.h"
#include "tn_signal.h"

#endif
