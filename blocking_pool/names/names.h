/* SPDX-License-Identifier: MIT */
/* Names from the inside. */
#ifndef TNI_NAMES_H
#define TNI_NAMES_H

#include <tn/names.h>

#include "base/log.h"

/* A name has at most 253 characters, and perhaps a dot behind; one more is kept, so that a longer one is seen to be so. */
#define TNI_HOST_BYTES 256
#define TNI_SERVICE_BYTES 33

/* 0; TN_EINVAL, -ENAMETOOLONG: `log` got a line with the reason. */
int tni_names_check(const char *host, const char *service, const tni_log *log);

#endif
