/* SPDX-License-Identifier: MIT */
/* tournant: all public headers.
 *
 * A program that includes <tn.h> needs no other header of the library. Each header below also works alone:
 *
 *     tn/base.h        version, error codes, the clock
 *     tn/future.h      futures and wakers: what every wait of the library is built on
 *     tn/task.h        spawning, joining and cancelling tasks; task-local values; code that blocks its thread
 *     tn/scope.h       cancel scopes: a deadline and a cancellation for a section of code
 *     tn/group.h       task groups: tasks that end before the code that spawned them continues
 *     tn/combine.h     select, race, join and timeout of futures; intervals
 *     tn/future_set.h  waiting for a changing number of futures
 *     tn/async.h       waking a task from a signal handler
 *     tn/signal.h      waiting for signals, such as SIGTERM
 *     tn/runtime.h     creating, running and destroying a runtime; options, counters, dumps
 *     tn/worker_local.h  a value for each worker thread, used without a lock
 *     tn/metrics.h     times and counts of a runtime, for monitoring
 *     tn/inspect.h     the tasks of a runtime: what each waits for, what workers run
 *     tn/dump_signal.h  a dump in the log when a signal arrives
 *     tn/work.h        pieces of work such as requests: how long one took, and the log of slow ones
 *     tn/why.h         why a call was cancelled or timed out
 *     tn/time.h        paused time for tests
 *     tn/blocking.h    the pool of threads for calls that block
 *     tn/fs.h          files and folders
 *     tn/names.h       looking up host names
 *     tn/net.h         TCP and Unix streams, listeners
 *     tn/stream_future.h  futures that accept, read and write
 *     tn/serve.h       a server: a handler for each connection, limits, an orderly end
 *     tn/write_queue.h  messages of several tasks to one stream, sent by one system call
 *     tn/systemd.h     a program as a service of systemd: given listeners, its state, the watchdog
 *     tn/io.h          byte streams of any kind behind one interface; connections in memory
 *     tn/copy.h        copying between byte streams, in one direction or both
 *     tn/process.h     child processes: starting, pipes, signals, output
 *     tn/reader.h      reading lines and frames from a byte stream
 *     tn/writer.h      writing text, frames and small pieces to one
 *     tn/slice.h       counted bytes that many writers share
 *     tn/fd.h          waiting for descriptors of other libraries
 *     tn/sync.h        all primitives by which tasks wait for each other; each of them also has its own header:
 *                      barrier, broadcast, cancel_token, channel, mpsc, mutex, notify, once, oneshot, rwlock, semaphore,
 *                      task_tracker, wait_group, watch
 *
 * The comment of each function has five slots:
 *
 *     Suspends         whether the calling fiber lets other tasks run before the call returns; a plain thread blocks instead
 *     Callable from    where the function may be called
 *     Ownership        what happens to arguments and results that have an owner
 *     Errors           the errors that the function returns, as negative errno values
 *     Cancellation     whether the call is a cancellation point, and what holds after it was cut short
 *
 * These words have a fixed meaning in the slots:
 *
 *     a fiber             the entry function of tn_spawn, on its own stack, and what it calls
 *     a stackless task    a future that the scheduler polls (tn_spawn_future): its poll function, and what that calls
 *     a plain thread      a thread that is no worker of a runtime
 *     a blocking job      the function of a job, on a thread of the pool (tn/blocking.h)
 *     anywhere            inside or outside of a task, on any thread; not in a signal handler, unless the slot names it
 *     borrows             the argument stays the caller's, and must stay valid until the call returns
 *     consumes            the argument is no longer the caller's when the call returns
 *
 * A cancellation point returns TN_ECANCELED if the calling task, or a cancel scope around the caller, has been cancelled.
 * It returns TN_ETIMEDOUT if the deadline of a cancel scope has passed. tn/scope.h states the details. */
#ifndef TN_H
#define TN_H

#include <tn/async.h>
#include <tn/blocking.h>
#include <tn/combine.h>
#include <tn/copy.h>
#include <tn/dump_signal.h>
#include <tn/fd.h>
#include <tn/fs.h>
#include <tn/future_set.h>
#include <tn/group.h>
#include <tn/inspect.h>
#include <tn/io.h>
#include <tn/metrics.h>
#include <tn/names.h>
#include <tn/net.h>
#include <tn/process.h>
#include <tn/reader.h>
#include <tn/runtime.h>
#include <tn/serve.h>
#include <tn/signal.h>
#include <tn/slice.h>
#include <tn/stream_future.h>
#include <tn/sync.h>
#include <tn/systemd.h>
#include <tn/time.h>
#include <tn/why.h>
#include <tn/work.h>
#include <tn/worker_local.h>
#include <tn/write_queue.h>
#include <tn/writer.h>

#endif
