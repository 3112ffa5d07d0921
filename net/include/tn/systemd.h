/* SPDX-License-Identifier: MIT */
/* tournant: a program as a service of systemd: the listeners that it is given, its state, and the watchdog. */
#ifndef TN_SYSTEMD_H
#define TN_SYSTEMD_H

#include <tn/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The service manager speaks to a service by variables of the environment. These calls read them each time, so no other thread
 * may change the environment meanwhile. A program that is no service may make all of them: they do nothing. Libsystemd is not
 * used.
 *
 * The calls that report a state return 1 if it was sent, and 0 if there is no service manager (NOTIFY_SOCKET is not set). They
 * never wait. TN_EAGAIN: the service manager does not read at the moment. TN_EINVAL: NOTIFY_SOCKET is no path, or it is too
 * long. */

/* Makes listeners of the sockets that the service manager has opened (LISTEN_FDS). `name`: of those that have this name
 * (LISTEN_FDNAMES, in the unit FileDescriptorName=); NULL: of all. A socket without a name has the name "unknown". Writes at most
 * `max` to `out`, and returns how many; 0: there is none, and the program listens by itself.
 *
 * The descriptors stay open until the program ends or executes another one, and are not inherited by it. So the call may be made
 * again. Other processes share the sockets: set tn_serve_options.shared_listeners.
 *
 * Suspends: no.
 * Callable from: anywhere; on a plain thread `runtime` is not NULL.
 * Ownership: the caller owns a reference to each listener. After an error there is none.
 * Errors: those of tn_listener_open; for example, the socket does not listen. TN_EOVERFLOW: there are more than `max`. TN_EMFILE.
 * TN_EINVAL: LISTEN_FDS is not a number.
 * Cancellation: no. */
TN_API int tn_systemd_listeners(tn_runtime *runtime, const char *name, tn_listener **out, size_t max);

/* Reports that the service is ready, also after tn_systemd_reloading (READY=1).
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: none.
 * Errors: TN_EAGAIN, TN_EINVAL, and errors of the kernel.
 * Cancellation: no. */
TN_API int tn_systemd_ready(void);

/* Reports that the service begins to reload its configuration (RELOADING=1, MONOTONIC_USEC). When it has, it calls
 * tn_systemd_ready.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: none.
 * Errors: TN_EAGAIN, TN_EINVAL, and errors of the kernel.
 * Cancellation: no. */
TN_API int tn_systemd_reloading(void);

/* Reports that the service begins to end (STOPPING=1).
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: none.
 * Errors: TN_EAGAIN, TN_EINVAL, and errors of the kernel.
 * Cancellation: no. */
TN_API int tn_systemd_stopping(void);

/* Reports a text for `systemctl status` (STATUS=), cut to 200 bytes. Line ends become spaces.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: the arguments are borrowed for the call.
 * Errors: TN_EAGAIN, TN_EINVAL, and errors of the kernel.
 * Cancellation: no. */
TN_API int tn_systemd_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports the main process of the service (MAINPID=), if that is not the one that was started.
 *
 * Suspends: no.
 * Callable from: anywhere but a signal handler.
 * Ownership: none.
 * Errors: TN_EAGAIN, TN_EINVAL, and errors of the kernel.
 * Cancellation: no. */
TN_API int tn_systemd_main_pid(pid_t process);

/* Sends keep-alive messages to the watchdog (WATCHDOG=1), twice in each interval of WATCHDOG_USEC, until it is cancelled.
 * Returns 0 at once if the service manager wants none from this process (WATCHDOG_USEC, WATCHDOG_PID). Run it as a task of its
 * own.
 *
 * The messages come from a task. So they stop when the runtime runs no task any more. Then each worker is inside a task that
 * does not return, and the monitor can give no core to another thread. Tasks that only wait for each other do not stop them.
 *
 * Suspends: until it is cancelled.
 * Callable from: a fiber, a plain thread.
 * Ownership: none.
 * Errors: TN_ECANCELED, TN_ETIMEDOUT.
 * Cancellation: yes; no keep-alive is sent any more. */
TN_API int tn_systemd_keep_alive(void);

#ifdef __cplusplus
}
#endif

#endif
