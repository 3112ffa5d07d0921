/* SPDX-License-Identifier: MIT */
/* redis_task: calls of hiredis that wait in a task instead of in its thread. Copy this file and redis_task.c into your
 * program.
 *
 * It uses a context of hiredis in non-blocking mode, whose reads and writes do not wait, and calls tn_fd_wait between them.
 * A context is used by one task at a time. All calls return 0, or a negative error:
 *
 *     HRT_ERROR      hiredis says so: context->errstr; end the context by redisFree
 *     TN_ECANCELED   the task or its cancel scope was cancelled
 *     TN_ETIMEDOUT   the deadline of the cancel scope has passed
 *
 * After a call that was cut short, the context has replies to come: read them by hrt_reply, or end it by redisFree. */
#ifndef REDIS_TASK_H
#define REDIS_TASK_H

#include <hiredis.h>
#include <tn.h>

#define HRT_ERROR (-EIO)

/* Connects to a numeric address. `*out` is NULL only if memory is short; it is the caller's after an error too. */
int hrt_connect(redisContext **out, const char *address, int port);

/* Makes one command, and waits for its reply, which is the caller's (freeReplyObject). The reply may say that the command
 * has failed. */
int hrt_command(redisContext *context, redisReply **reply, const char *format, ...);

/* A pipeline: add any number of commands by redisAppendCommand, then take their replies by hrt_reply, in order. The same
 * call takes the messages of a context that has subscribed. It sends first what has not been sent. */
int hrt_reply(redisContext *context, redisReply **reply);

/* Sends what has been added. While the server takes nothing, its replies are read, and kept for hrt_reply. */
int hrt_flush(redisContext *context);

#endif
