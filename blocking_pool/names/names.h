/* SPDX-License-Identifier: MIT */
/* Syntax check of host and service names. */
#ifndef TNI_NAMES_H
#define TNI_NAMES_H

#include <tn/names.h>

#include "base/log.h"

/* A name has at most 253 characters and may have a final dot; one more byte shows that a name is too long. */
#define TNI_HOST_BYTES 256
#define TNI_SERVICE_BYTES 33

/* 0; TN_EINVAL, -ENAMETOOLONG: the reason has been written to `log`. */
int tni_names_check(const char *host, const char *service, const tni_log *log);

#endif
