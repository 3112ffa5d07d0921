// SPDX-License-Identifier: MIT
//! What the cases share: settings, a runtime, clocks, and the line that is printed.
use std::future::Future;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

pub struct Settings {
    pub workers: usize,
    pub quick: bool,
    pub count: Option<usize>, // iterations of a case's loop; tasks in timers and live
}

impl Settings {
    /// Returns the iterations of a case's loop: `count`, or one of the defaults.
    pub fn pick(&self, full: usize, quick: usize) -> usize {
        self.count.unwrap_or(if self.quick { quick } else { full })
    }

    pub fn runtime(&self) -> Runtime {
        Builder::new_multi_thread().worker_threads(self.workers).enable_all().build().unwrap()
    }
}

/// Runs `body` as a task on a worker, and waits for it.
pub fn on_worker<F>(runtime: &Runtime, body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = runtime.spawn(body);
    runtime.block_on(task).unwrap()
}

/// A stretch of work that is measured.
pub struct Stretch {
    began: Instant,
    cpu_ns: u64,
}

impl Stretch {
    pub fn begin() -> Stretch {
        let cpu_ns = cpu_ns();
        Stretch { began: Instant::now(), cpu_ns }
    }

    pub fn note(self, name: &str, unit: &str, operations: usize) {
        let took = self.began.elapsed().as_nanos() as f64;
        let cpu = (cpu_ns() - self.cpu_ns) as f64;
        print_row(name, unit, took / operations as f64, Some(cpu / operations as f64));
    }

    pub fn elapsed_ns(&self) -> f64 {
        self.began.elapsed().as_nanos() as f64
    }
}

pub fn print_row(name: &str, unit: &str, value: f64, cpu: Option<f64>) {
    match cpu {
        Some(cpu) => println!("{{\"case\": \"{name}\", \"unit\": \"{unit}\", \"value\": {value:.3}, \"cpu\": {cpu:.3}}}"),
        None => println!("{{\"case\": \"{name}\", \"unit\": \"{unit}\", \"value\": {value:.3}}}"),
    }
}

/// Processor time of all threads of this process.
pub fn cpu_ns() -> u64 {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `used` lives for the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) }, 0);
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}

/// Resident memory of this process with its page tables.
pub fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |key: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("VmRSS:") + kib("VmPTE:")) * 1024.0
}
