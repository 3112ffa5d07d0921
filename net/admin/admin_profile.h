/* SPDX-License-Identifier: MIT */
/* /profile: what workers run, or where tasks wait, for some seconds. */
#ifndef TNI_ADMIN_PROFILE_H
#define TNI_ADMIN_PROFILE_H

#include "admin/admin_http.h"
#include "admin/admin_stacks.h"

/* What a request asks for. */
typedef struct {
    unsigned seconds;
    bool waits;   /* where tasks wait, instead of what workers run */
    bool is_svg;  /* instead of folded stacks */
    bool by_name; /* the name of the task is the root of each stack */
} tni_admin_profile;

/* False: a parameter is refused. */
bool tni_admin_profile_parse(const tni_admin_request *request, tni_admin_profile *out);

/* Watches the runtime for that time. Returns 0, or an error: the client has left, or the server ends. */
int tni_admin_profile_take(const tni_admin_profile *self, tn_runtime *runtime, tn_stream *stream, tni_admin_stacks *out);

/* The body of the response. */
void tni_admin_profile_print(const tni_admin_profile *self, const tni_admin_stacks *stacks, tni_admin_response *response);

#endif
