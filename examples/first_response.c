/* SPDX-License-Identifier: MIT */
/* first_response: a redundant request: the same request to two servers; the first response wins, the other request is
 * cancelled.
 *
 * It shows task groups. The tasks that send the requests use the frame of their caller. Leaving the group cancels the tasks
 * that still run and waits for them, so that no task uses that frame afterwards. If one server fails, the response of the other
 * one is taken.
 *
 * Run:   first_response
 * See:   slow was cancelled
 *        the response is 42, from quick
 *        broken failed
 *        the response is 42, from slow
 */
#include <stdio.h>
#include <tn.h>

typedef struct server {
    const char *name;
    uint64_t response_ms; /* after so many milliseconds */
    int response;         /* negative: an error */
} server;

/* A task: sends the request to one server. Its result is the server's response. */
static void *request(void *arg)
{
    const server *s = arg;
    int rc = tn_sleep(s->response_ms * TN_MS);

    if (rc == 0)
        rc = s->response;
    if (rc == TN_ECANCELED)
        printf("%s was cancelled\n", s->name);
    else if (rc < 0)
        printf("%s failed\n", s->name);
    return (void *)(intptr_t)rc;
}

/* Returns the first response that is no error; *from is its server. */
static int request_both(server *servers, const server **from)
{
    tn_group_result ended;
    TN_GROUP(group, NULL);
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = tn_group_spawn(&group, NULL, request, &servers[i]);
    if (rc < 0)
        return rc;
    while ((rc = tn_group_next(&group, &ended)) > 0)
        if (ended.error == 0) {
            *from = ended.arg;
            return (int)(intptr_t)ended.result; /* leaves the group, which cancels the other request */
        }
    return rc < 0 ? rc : TN_ECONNREFUSED;
}

static void *run(void *arg)
{
    server healthy[] = {{"quick", 20, 42}, {"slow", 3600000, 42}};
    server failing[] = {{"broken", 1, TN_ECONNRESET}, {"slow", 500, 42}};
    const server *from = NULL;
    int response;

    (void)arg;
    response = request_both(healthy, &from);
    if (from != NULL)
        printf("the response is %d, from %s\n", response, from->name);
    from = NULL;
    response = request_both(failing, &from);
    if (from != NULL)
        printf("the response is %d, from %s\n", response, from->name);
    return NULL;
}

int main(void)
{
    return tn_run(run, NULL, NULL) == 0 ? 0 : 1;
}
