// SPDX-License-Identifier: MIT
//! Many tasks that all wait: what spawning, waking and holding one costs.
use crate::measure::{on_worker, print_row, resident_bytes, Settings, Stretch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, Notify};

static WAITING: AtomicUsize = AtomicUsize::new(0);
static LEFT: AtomicUsize = AtomicUsize::new(0);
static ALL_ENDED: Notify = Notify::const_new();

async fn waiter(woken: oneshot::Receiver<()>) {
    WAITING.fetch_add(1, Ordering::Relaxed);
    woken.await.unwrap();
    if LEFT.fetch_sub(1, Ordering::AcqRel) == 1 {
        ALL_ENDED.notify_one();
    }
}

async fn run(count: usize) {
    let mut wakers = Vec::with_capacity(count);
    LEFT.store(count, Ordering::Relaxed);
    let resident = resident_bytes();
    let stretch = Stretch::begin();
    for _ in 0..count {
        let (waker, woken) = oneshot::channel();
        tokio::spawn(waiter(woken));
        wakers.push(waker);
    }
    while WAITING.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
    stretch.note("live_spawn", "ns/task", count);
    tokio::time::sleep(Duration::from_millis(10)).await;
    print_row("live_size", "bytes/task", (resident_bytes() - resident) / count as f64, None);
    let stretch = Stretch::begin();
    for waker in wakers {
        waker.send(()).unwrap();
    }
    ALL_ENDED.notified().await;
    stretch.note("live_wake", "ns/task", count);
}

pub fn live(settings: &Settings) {
    let runtime = settings.runtime();
    on_worker(&runtime, run(settings.pick(1_000_000, 10_000)));
}
