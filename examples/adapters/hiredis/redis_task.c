/* SPDX-License-Identifier: MIT */
/* How the calls of hiredis that do not wait become calls that wait in a task. */
#include "redis_task.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

static int fail(redisContext *context, int error)
{
    context->err = REDIS_ERR_IO;
    (void)snprintf(context->errstr, sizeof context->errstr, "%s", tn_strerror(-error));
    return HRT_ERROR;
}

int hrt_connect(redisContext **out, const char *address, int port)
{
    redisContext *context = redisConnectNonBlock(address, port);
    int error = 0;
    socklen_t size = sizeof error;
    int ready;

    *out = context;
    if (context == NULL)
        return TN_ENOMEM;
    if (context->err != 0)
        return HRT_ERROR;
    ready = tn_fd_wait(context->fd, TN_FD_WRITABLE);
    if (ready < 0)
        return ready;
    if (getsockopt(context->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        return fail(context, error);
    return 0;
}

/* Waits, and reads what has come. */
static int wait_and_read(redisContext *context, unsigned events)
{
    int ready = tn_fd_wait(context->fd, events);

    if (ready < 0)
        return ready;
    if ((ready & ~TN_FD_WRITABLE) != 0 && redisBufferRead(context) != REDIS_OK)
        return HRT_ERROR;
    return 0;
}

int hrt_flush(redisContext *context)
{
    int all_sent = 0;
    int rc = 0;

    while (rc == 0) {
        size_t left = sdslen(context->obuf);
        if (redisBufferWrite(context, &all_sent) != REDIS_OK)
            return HRT_ERROR;
        if (all_sent)
            return 0;
        if (sdslen(context->obuf) == left)
            rc = wait_and_read(context, TN_FD_READABLE | TN_FD_WRITABLE);
    }
    return rc;
}

int hrt_reply(redisContext *context, redisReply **reply)
{
    void *next = NULL;
    int rc = hrt_flush(context);

    *reply = NULL;
    while (rc == 0) {
        if (redisGetReplyFromReader(context, &next) != REDIS_OK)
            return HRT_ERROR;
        if (next != NULL)
            break;
        rc = wait_and_read(context, TN_FD_READABLE);
    }
    *reply = next;
    return rc;
}

int hrt_command(redisContext *context, redisReply **reply, const char *format, ...)
{
    va_list arguments;
    int rc;

    *reply = NULL;
    va_start(arguments, format);
    rc = redisvAppendCommand(context, format, arguments);
    va_end(arguments);
    return rc == REDIS_OK ? hrt_reply(context, reply) : HRT_ERROR;
}
