/* SPDX-License-Identifier: MIT */
/* curl_task: transfers of libcurl that wait in a task instead of in its thread. Copy this file and curl_task.c into your
 * program.
 *
 * It uses the multi-socket interface. libcurl says which sockets it waits for, and until when; the task waits for them by
 * tn_fd_future, and reports to libcurl which are ready. A session is used by one task at a time. It has any number of
 * transfers under way, and keeps their connections for the next ones. */
#ifndef CURL_TASK_H
#define CURL_TASK_H

#include <curl/curl.h>
#include <tn.h>

typedef struct curlt_session curlt_session;

/* Opens a session in the calling task. `connections_max`: at most so many at once, further transfers wait inside libcurl; 0:
 * no limit. Returns 0 or TN_ENOMEM. */
int curlt_open(curlt_session **out, long connections_max);

/* Ends the session. Transfers that are under way are given up; their handles stay the caller's. */
void curlt_close(curlt_session *session);

/* Begins the transfer of `easy`, which belongs to the session until curlt_next returns it or curlt_remove takes it back. Its
 * callbacks run in the task that calls curlt_next. They may not suspend. */
CURLMcode curlt_add(curlt_session *session, CURL *easy);
void curlt_remove(curlt_session *session, CURL *easy);

/* Waits until a transfer has ended. `*easy` is its handle, NULL if none is under way, and `*result` what libcurl says about
 * it. Returns 0; TN_ECANCELED or TN_ETIMEDOUT: the transfers go on in the next call; TN_ENOMEM; -EIO: an error of libcurl
 * itself. */
int curlt_next(curlt_session *session, CURL **easy, CURLcode *result);

/* Makes one transfer, in place of curl_easy_perform. `*result` is what libcurl says. Returns as curlt_next; after an error
 * the transfer has been taken back. No other one may be under way in this session. */
int curlt_perform(curlt_session *session, CURL *easy, CURLcode *result);

#endif
