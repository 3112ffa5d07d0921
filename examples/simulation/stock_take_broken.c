/* SPDX-License-Identifier: MIT */
/* stock_take with an error, for stock_broken: the deadline of a request may pass in `fetch`, and then the lock stays held. */
#include "stock.h"

int stock_take(stock *self, unsigned count, unsigned *left)
{
    int rc = tn_mutex_lock(&self->lock);

    if (rc != 0)
        return rc;
    rc = count <= self->left ? self->fetch(count) : STOCK_SOLD_OUT;
    if (rc < 0)
        return rc;
    if (rc == 0) {
        self->left -= count;
        *left = self->left;
    }
    tn_mutex_unlock(&self->lock);
    return rc;
}
