/* SPDX-License-Identifier: MIT */
/* The pages of the admin server. Each writes the body of a response. */
#ifndef TNI_ADMIN_VIEWS_H
#define TNI_ADMIN_VIEWS_H

#include <tn/metrics.h>

#include "admin/admin_http.h"

/* `space`: memory for the snapshot. */
void tni_admin_views_metrics(tni_admin_response *response, const tn_runtime *runtime, tn_metrics *space);
void tni_admin_views_tasks(tni_admin_response *response, const tni_admin_request *request, tn_runtime *runtime);
void tni_admin_views_dump(tni_admin_response *response, tn_runtime *runtime);

#endif
