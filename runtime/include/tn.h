/* SPDX-License-Identifier: MIT */
/* tournant: everything. */
#ifndef TN_H
#define TN_H

#include <tn/async.h>
#include <tn/blocking.h>
#include <tn/combine.h>
#include <tn/fs.h>
#include <tn/future_set.h>
#include <tn/group.h>
#include <tn/names.h>
#include <tn/net.h>
#include <tn/runtime.h>
#include <tn/sync.h>

#endif
