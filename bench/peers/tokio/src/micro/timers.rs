// SPDX-License-Identifier: MIT
//! Sleeping tasks, and deadlines that are not used.
use crate::measure::{cpu_ns, on_worker, print_row, resident_bytes, Settings, Stretch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

static STARTED: AtomicUsize = AtomicUsize::new(0);
static EARLY: AtomicUsize = AtomicUsize::new(0);
static ASLEEP: AtomicUsize = AtomicUsize::new(0);
static ALL_ENDED: Notify = Notify::const_new();

async fn sleeper(ns: u64) {
    let due = Instant::now() + Duration::from_nanos(ns);
    STARTED.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep_until(due).await;
    if Instant::now() < due {
        EARLY.fetch_add(1, Ordering::Relaxed);
    }
    if ASLEEP.fetch_sub(1, Ordering::AcqRel) == 1 {
        ALL_ENDED.notify_one();
    }
}

/// 2 to 3 s; the same sequence in every run and every program (xorshift64).
fn pick_ns(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    2_000_000_000 + *state % 1_000_000_001
}

/// How long it took, and resident bytes a task when all were asleep; none if the first may have woken before the last slept.
async fn run_sleepers(count: usize) -> (f64, Option<f64>) {
    let mut random = 88172645463325252;
    let resident = resident_bytes();
    let stretch = Stretch::begin();
    ASLEEP.store(count, Ordering::Relaxed);
    for _ in 0..count {
        tokio::spawn(sleeper(pick_ns(&mut random)));
    }
    while STARTED.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let bytes = (resident_bytes() - resident) / count as f64;
    let all_asleep = stretch.elapsed_ns() < 2e9;
    ALL_ENDED.notified().await;
    (stretch.elapsed_ns(), all_asleep.then_some(bytes))
}

pub fn timers(settings: &Settings) {
    let runtime = settings.runtime();
    let count = settings.pick(1_000_000, 10_000);
    let cpu = cpu_ns();
    let (took_ns, bytes) = on_worker(&runtime, run_sleepers(count));
    assert_eq!(EARLY.load(Ordering::Relaxed), 0);
    print_row("timers", "ms beyond 3 s", (took_ns - 3e9) / 1e6, Some((cpu_ns() - cpu) as f64 / 1e6));
    if let Some(bytes) = bytes {
        print_row("timers_size", "bytes/task", bytes, None);
    }
}

async fn call_with_deadline(count: usize) {
    for i in 0..count {
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), std::future::ready(i)).await, Ok(i));
    }
}

pub fn timeout_unused(settings: &Settings) {
    let runtime = settings.runtime();
    let count = settings.pick(2_000_000, 20_000);
    on_worker(&runtime, call_with_deadline(10_000));
    let stretch = Stretch::begin();
    on_worker(&runtime, call_with_deadline(count));
    stretch.note("timeout_unused", "ns/op", count);
}
