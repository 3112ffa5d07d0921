// SPDX-License-Identifier: MIT
//! The cases of bench/micro.c on Tokio; bench/README.md has the definitions. One round of each case that is named, a line of JSON
//! a measured figure.
mod blocking;
mod live;
mod measure;
mod sync;
mod tasks;
mod timers;

use measure::Settings;

type Case = (&'static str, fn(&Settings));

const CASES: &[Case] = &[
    ("spawn_join", tasks::spawn_join),
    ("spawn_many_local", tasks::spawn_many_local),
    ("spawn_many_remote", tasks::spawn_many_remote),
    ("yield_many", tasks::yield_many),
    ("chained_spawn", tasks::chained_spawn),
    ("ping_pong", tasks::ping_pong),
    ("chan_pingpong", sync::chan_pingpong),
    ("mpsc_1", sync::mpsc_1),
    ("mpsc_4", sync::mpsc_4),
    ("mutex_2", sync::mutex_2),
    ("mutex_64", sync::mutex_64),
    ("mutex_wake", sync::mutex_wake),
    ("timers", timers::timers),
    ("timeout_unused", timers::timeout_unused),
    ("spawn_blocking_batch", blocking::batch),
    ("spawn_blocking_roundtrip", blocking::roundtrip),
    ("live", live::live),
];

fn usage(problem: &str) -> ! {
    eprintln!("micro: {problem}; usage: micro CASE... [--workers N] [--count N] [--quick] [--list]");
    std::process::exit(2)
}

fn number(text: Option<String>) -> usize {
    match text.and_then(|text| text.parse().ok()) {
        Some(n) if n > 0 => n,
        _ => usage("a number is missing"),
    }
}

fn main() {
    let mut settings = Settings { workers: 2, quick: false, count: None };
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--workers" => settings.workers = number(args.next()),
            "--count" => settings.count = Some(number(args.next())),
            "--quick" => settings.quick = true,
            "--list" => {
                for (name, _) in CASES {
                    println!("{name}");
                }
                return;
            }
            name => match CASES.iter().find(|case| case.0 == name) {
                Some(case) => wanted.push(case.1),
                None => usage(&format!("no case {name}")),
            },
        }
    }
    for run in wanted {
        run(&settings);
    }
}
