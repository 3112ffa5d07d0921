/* SPDX-License-Identifier: MIT */
/* What a program in C and its plug-in in C++ know of each other. The plug-in knows nothing of tournant. */
#ifndef EXCEPTIONS_PLUGIN_H
#define EXCEPTIONS_PLUGIN_H

#ifdef __cplusplus
extern "C" {
#endif

/* Lets other fibers run. */
typedef void (*plugin_suspend)(void);

/* Each returns 1 if it saw only its own exceptions. `name` is the text of these. */
typedef int (*plugin_session)(plugin_suspend suspend, const char *name);

int plugin_catch(plugin_suspend suspend, const char *name);   /* suspends in a handler, then rethrows */
int plugin_nested(plugin_suspend suspend, const char *name);  /* the same with a handler in a handler */
int plugin_unwind(plugin_suspend suspend, const char *name);  /* suspends in a destructor during unwinding */
int plugin_capture(plugin_suspend suspend, const char *name); /* suspends with a std::exception_ptr of the current one */

#ifdef __cplusplus
}
#endif

#endif
