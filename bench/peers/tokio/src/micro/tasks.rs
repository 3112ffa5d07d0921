// SPDX-License-Identifier: MIT
//! Spawning, joining, yielding.
use crate::measure::{on_worker, Settings, Stretch};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, Notify};

async fn spawn_and_join(count: usize) {
    for i in 0..count {
        assert_eq!(tokio::spawn(async move { i }).await.unwrap(), i);
    }
}

pub fn spawn_join(settings: &Settings) {
    let runtime = settings.runtime();
    let count = settings.pick(1_000_000, 10_000);
    on_worker(&runtime, spawn_and_join(10_000));
    let stretch = Stretch::begin();
    on_worker(&runtime, spawn_and_join(count));
    stretch.note("spawn_join", "ns/op", count);
}

const CROWD: usize = 10_000;
static LEFT: AtomicUsize = AtomicUsize::new(0);
static ALL_DONE: Notify = Notify::const_new();

async fn count_off() {
    if LEFT.fetch_sub(1, Ordering::AcqRel) == 1 {
        ALL_DONE.notify_one();
    }
}

async fn spawn_crowds(times: usize) {
    for _ in 0..times {
        LEFT.store(CROWD, Ordering::Relaxed);
        for _ in 0..CROWD {
            tokio::spawn(count_off());
        }
        ALL_DONE.notified().await;
    }
}

pub fn spawn_many_local(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(200, 2);
    on_worker(&runtime, spawn_crowds(2));
    let stretch = Stretch::begin();
    on_worker(&runtime, spawn_crowds(times));
    stretch.note("spawn_many_local", "ns/op", times * CROWD);
}

fn spawn_crowds_from_outside(runtime: &Runtime, times: usize) {
    for _ in 0..times {
        LEFT.store(CROWD, Ordering::Relaxed);
        for _ in 0..CROWD {
            runtime.spawn(count_off());
        }
        runtime.block_on(ALL_DONE.notified());
    }
}

pub fn spawn_many_remote(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(200, 2);
    spawn_crowds_from_outside(&runtime, 2);
    let stretch = Stretch::begin();
    spawn_crowds_from_outside(&runtime, times);
    stretch.note("spawn_many_remote", "ns/op", times * CROWD);
}

const YIELDERS: usize = 200;
const YIELDS: usize = 1000;

async fn yield_rounds(times: usize) {
    let mut tasks = Vec::with_capacity(YIELDERS);
    for _ in 0..times {
        for _ in 0..YIELDERS {
            tasks.push(tokio::spawn(async {
                for _ in 0..YIELDS {
                    tokio::task::yield_now().await;
                }
            }));
        }
        for task in tasks.drain(..) {
            task.await.unwrap();
        }
    }
}

pub fn yield_many(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(50, 1);
    on_worker(&runtime, yield_rounds(1));
    let stretch = Stretch::begin();
    on_worker(&runtime, yield_rounds(times));
    stretch.note("yield_many", "ns/yield", times * YIELDERS * YIELDS);
}

const LINKS: usize = 1000;

fn chain_link(at: usize, end: oneshot::Sender<usize>) {
    if at == LINKS {
        end.send(at).unwrap();
    } else {
        tokio::spawn(async move { chain_link(at + 1, end) });
    }
}

async fn run_chains(times: usize) {
    for _ in 0..times {
        let (end, ended) = oneshot::channel();
        chain_link(0, end);
        assert_eq!(ended.await.unwrap(), LINKS);
    }
}

pub fn chained_spawn(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(1000, 10);
    on_worker(&runtime, run_chains(10));
    let stretch = Stretch::begin();
    on_worker(&runtime, run_chains(times));
    stretch.note("chained_spawn", "ns/op", times * LINKS);
}

const PAIRS: usize = 1000;

async fn play() {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    tokio::spawn(async move {
        let n: usize = pinged.await.unwrap();
        pong.send(n + 1).unwrap();
    });
    ping.send(1).unwrap();
    assert_eq!(ponged.await.unwrap(), 2);
    count_off().await;
}

async fn play_all(times: usize) {
    for _ in 0..times {
        LEFT.store(PAIRS, Ordering::Relaxed);
        for _ in 0..PAIRS {
            tokio::spawn(play());
        }
        ALL_DONE.notified().await;
    }
}

pub fn ping_pong(settings: &Settings) {
    let runtime = settings.runtime();
    let times = settings.pick(500, 5);
    on_worker(&runtime, play_all(10));
    let stretch = Stretch::begin();
    on_worker(&runtime, play_all(times));
    stretch.note("ping_pong", "ns/pair", times * PAIRS);
}
