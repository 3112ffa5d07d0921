/* SPDX-License-Identifier: MIT */
/* first_answer: a redundant request: the same question to two servers, the first answer wins, the other request is cancelled.
 *
 * It shows groups: the tasks that ask lie in the frame of the one who needs the answer, and leaving the group cancels what is
 * still under way and waits for it, so that nobody uses that frame afterwards. If a server fails at once, the other one's answer
 * is taken.
 *
 * Run:   first_answer
 * See:   slow was cancelled
 *        the answer is 42, from quick
 *        broken failed
 *        the answer is 42, from slow
 */
#include <stdio.h>
#include <tn.h>

typedef struct server {
    const char *name;
    uint64_t answer_ms;
    int rc; /* what it answers; negative: an error */
} server;

/* A task: asks one server. Its result is what the server says. */
static void *ask(void *arg)
{
    const server *s = arg;
    int rc = tn_sleep(s->answer_ms * TN_MS);

    if (rc == 0)
        rc = s->rc;
    if (rc == TN_ECANCELED)
        printf("%s was cancelled\n", s->name);
    else if (rc < 0)
        printf("%s failed\n", s->name);
    return (void *)(intptr_t)rc;
}

/* The first good answer; *from says whose. */
static int ask_both(server *servers, const server **from)
{
    tn_group_result ended;
    TN_GROUP(group, NULL);
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = tn_group_spawn(&group, NULL, ask, &servers[i]);
    if (rc < 0)
        return rc;
    while ((rc = tn_group_next(&group, &ended)) > 0)
        if (ended.error == 0) {
            *from = ended.arg;
            return (int)(intptr_t)ended.result; /* and whoever still asks is cancelled */
        }
    return rc < 0 ? rc : TN_ECONNREFUSED;
}

static void *run(void *arg)
{
    server calm[] = {{"quick", 20, 42}, {"slow", 3600000, 42}};
    server rough[] = {{"broken", 1, TN_ECONNRESET}, {"slow", 500, 42}};
    const server *from = NULL;
    int answer;

    (void)arg;
    answer = ask_both(calm, &from);
    if (from != NULL)
        printf("the answer is %d, from %s\n", answer, from->name);
    from = NULL;
    answer = ask_both(rough, &from);
    if (from != NULL)
        printf("the answer is %d, from %s\n", answer, from->name);
    return NULL;
}

int main(void)
{
    return tn_run(run, NULL, NULL) == 0 ? 0 : 1;
}
