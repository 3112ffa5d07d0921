/* SPDX-License-Identifier: MIT */
/* What the byte stream of an open file needs to know of it. */
#ifndef TNI_FILE_H
#define TNI_FILE_H

#include <tn/fs.h>

/* Whether a wait for the file ends at once, because a poll says nothing: for a stored file, and for reads of one that the kernel
 * makes up. Of those a poll may report changes alone (/proc/bus/input/devices), after which a reader would wait for ever. Reads
 * that do wait (/proc/kmsg) wait in the read itself. */
bool tni_file_is_always_ready(tn_file *file, bool writes);

#endif
