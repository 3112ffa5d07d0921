/* SPDX-License-Identifier: MIT */
/* What a request does. Each wait in here may end with TN_ETIMEDOUT, the deadline of the request; see stock.h. */
#include "stock.h"

int stock_take(stock *self, unsigned count, unsigned *left)
{
    int rc = tn_mutex_lock(&self->lock);

    if (rc != 0)
        return rc;
    rc = count <= self->left ? self->fetch(count) : STOCK_SOLD_OUT;
    if (rc == 0) {
        self->left -= count;
        *left = self->left;
    }
    tn_mutex_unlock(&self->lock);
    return rc;
}
