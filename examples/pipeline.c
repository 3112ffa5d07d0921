/* SPDX-License-Identifier: MIT */
/* pipeline: three stages with a bounded channel between each two, so that the slowest stage sets the pace.
 *
 * It shows tn_mpsc_send and tn_mpsc_recv, and how the end of one stage ends the next. When the last sender is released, the
 * receiver takes what is left and then gets TN_EPIPE. A stage that is too fast waits in its send, so no queue grows.
 *
 * Run:   pipeline 10000
 * See:   10000 numbers, the sum of their squares is 333383335000
 *        never more than 11 of them were under way
 *        (4 in each channel and one in each stage; fewer if the first stage never has to wait)
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tn.h>

enum { CAPACITY = 4 };

typedef struct pipeline {
    uint64_t count;
    tn_mpsc *numbers;
    tn_mpsc *squares;
    atomic_ulong begun;
    atomic_ulong ended;
    unsigned long most; /* under way */
    uint64_t sum;
} pipeline;

static void *produce(void *arg)
{
    pipeline *line = arg;

    for (uint64_t number = 1; number <= line->count; number++) {
        unsigned long under_way = atomic_fetch_add(&line->begun, 1) + 1 - atomic_load(&line->ended);
        if (under_way > line->most)
            line->most = under_way;
        if (tn_mpsc_send(line->numbers, &number) != 0) /* waits while the channel is full */
            break;
    }
    tn_mpsc_release_sender(line->numbers);
    return NULL;
}

static void *square(void *arg)
{
    pipeline *line = arg;
    uint64_t number;

    while (tn_mpsc_recv(line->numbers, &number) == 0) {
        uint64_t result = number * number;
        if (tn_mpsc_send(line->squares, &result) != 0)
            break;
    }
    tn_mpsc_release_receiver(line->numbers);
    tn_mpsc_release_sender(line->squares);
    return NULL;
}

static void *add_up(void *arg)
{
    pipeline *line = arg;
    uint64_t number;

    while (tn_mpsc_recv(line->squares, &number) == 0) {
        line->sum += number;
        if (atomic_fetch_add(&line->ended, 1) % 100 == 0)
            tn_sleep(TN_MS); /* it is slow at times, so that the others wait */
    }
    tn_mpsc_release_receiver(line->squares);
    return NULL;
}

static void *run(void *arg)
{
    static const tn_entry_fn stages[] = {produce, square, add_up};
    pipeline *line = arg;
    tn_task *tasks[3];

    if (tn_mpsc_create(&line->numbers, sizeof(uint64_t), CAPACITY, NULL) != 0 ||
        tn_mpsc_create(&line->squares, sizeof(uint64_t), CAPACITY, NULL) != 0)
        exit(1);
    for (int i = 0; i < 3; i++)
        if (tn_spawn(&tasks[i], stages[i], line) != 0)
            exit(1);
    for (int i = 0; i < 3; i++)
        tn_join(tasks[i], NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    pipeline line = {.count = argc == 2 ? strtoull(argv[1], NULL, 10) : 0};

    if (line.count == 0) {
        fputs("usage: pipeline COUNT\n", stderr);
        return 2;
    }
    if (tn_run(run, &line, NULL) != 0)
        return 1;
    printf("%" PRIu64 " numbers, the sum of their squares is %" PRIu64 "\n", line.count, line.sum);
    printf("never more than %lu of them were under way\n", line.most);
    return 0;
}
