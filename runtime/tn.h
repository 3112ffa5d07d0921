/* tournant: everything. */
#ifndef TN_H
#define TN_H

#include "tn_net.h"
#include "tn_runtime.h"
#include "tn_sync.h"

#endif
