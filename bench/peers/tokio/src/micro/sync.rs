// SPDX-License-Identifier: MIT
//! Channels and mutexes of tokio::sync, which are first in, first out.
use crate::measure::{on_worker, Settings, Stretch};
use std::sync::Arc;
use tokio::sync::{mpsc, Mutex};

async fn ping(rounds: usize) {
    let (to_other, mut from_one) = mpsc::channel::<usize>(1);
    let (to_one, mut from_other) = mpsc::channel::<usize>(1);
    let other = tokio::spawn(async move {
        while let Some(n) = from_one.recv().await {
            to_one.send(n + 1).await.unwrap();
        }
    });
    let one = tokio::spawn(async move {
        for n in 0..rounds {
            to_other.send(n).await.unwrap();
            assert_eq!(from_other.recv().await, Some(n + 1));
        }
    });
    one.await.unwrap();
    other.await.unwrap();
}

pub fn chan_pingpong(settings: &Settings) {
    let runtime = settings.runtime();
    let rounds = settings.pick(1_000_000, 10_000);
    on_worker(&runtime, ping(1000));
    let stretch = Stretch::begin();
    on_worker(&runtime, ping(rounds));
    stretch.note("chan_pingpong", "ns/round trip", rounds);
}

async fn send_all(producers: usize, messages: usize) {
    let (sender, mut receiver) = mpsc::channel::<usize>(1000);
    for _ in 0..producers {
        let sender = sender.clone();
        tokio::spawn(async move {
            for n in 0..messages / producers {
                sender.send(n).await.unwrap();
            }
        });
    }
    drop(sender);
    let mut received = 0;
    while receiver.recv().await.is_some() {
        received += 1;
    }
    assert_eq!(received, messages);
}

fn mpsc(settings: &Settings, name: &str, producers: usize) {
    let runtime = settings.runtime();
    let messages = settings.pick(2_000_000, 20_000);
    on_worker(&runtime, send_all(producers, 20_000));
    let stretch = Stretch::begin();
    on_worker(&runtime, send_all(producers, messages));
    stretch.note(name, "ns/message", messages);
}

pub fn mpsc_1(settings: &Settings) {
    mpsc(settings, "mpsc_1", 1);
}

pub fn mpsc_4(settings: &Settings) {
    mpsc(settings, "mpsc_4", 4);
}

async fn lock_all(tasks: usize, locks: usize, yielding: bool) {
    let counter = Arc::new(Mutex::new(0));
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let counter = counter.clone();
            let times = locks / tasks;
            tokio::spawn(async move {
                for _ in 0..times {
                    let mut count = counter.lock().await;
                    *count += 1;
                    if yielding {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let all = tasks.len() * (locks / tasks.len());
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*counter.lock().await, all);
}

fn mutex(settings: &Settings, name: &str, tasks: usize, yielding: bool) {
    let runtime = settings.runtime();
    let locks = settings.pick(1_000_000, 10_000) / tasks * tasks;
    on_worker(&runtime, lock_all(tasks, 6400, yielding));
    let stretch = Stretch::begin();
    on_worker(&runtime, lock_all(tasks, locks, yielding));
    stretch.note(name, "ns/lock", locks);
}

pub fn mutex_2(settings: &Settings) {
    mutex(settings, "mutex_2", 2, false);
}

pub fn mutex_64(settings: &Settings) {
    mutex(settings, "mutex_64", 64, false);
}

pub fn mutex_wake(settings: &Settings) {
    mutex(settings, "mutex_wake", 4, true);
}
