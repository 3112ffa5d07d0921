// SPDX-License-Identifier: MIT
//! Calls handed to the blocking pool.
use crate::measure::{on_worker, Settings, Stretch};
use tokio::task::spawn_blocking;

const BATCH: usize = 1000;

async fn batches(times: usize) {
    let mut calls = Vec::with_capacity(BATCH);
    for _ in 0..times {
        calls.extend((0..BATCH).map(|i| spawn_blocking(move || i)));
        for (i, call) in calls.drain(..).enumerate() {
            assert_eq!(call.await.unwrap(), i);
        }
    }
}

pub fn batch(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(200, 5);
    on_worker(&runtime, batches(2));
    let stretch = Stretch::begin();
    on_worker(&runtime, batches(times));
    stretch.note("spawn_blocking_batch", "ns/call", times * BATCH);
}

async fn call_in_turn(count: usize) {
    for i in 0..count {
        assert_eq!(spawn_blocking(move || i).await.unwrap(), i);
    }
}

pub fn roundtrip(settings: &Settings) {
    let runtime = settings.runtime();
    let count = settings.pick(50_000, 1000);
    on_worker(&runtime, call_in_turn(500));
    let stretch = Stretch::begin();
    on_worker(&runtime, call_in_turn(count));
    stretch.note("spawn_blocking_roundtrip", "ns/call", count);
}
