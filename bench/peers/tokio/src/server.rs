// SPDX-License-Identifier: MIT
//! The fixed HTTP answer on Tokio: a task a connection. bench/README.md has the definition.
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n";
const END: &[u8] = b"\r\n\r\n";
const READ_SIZE: usize = 4096;

/// How many requests end in `data`; `matched`: how much of an end the bytes before it were.
fn count_requests(matched: &mut usize, data: &[u8]) -> usize {
    let mut count = 0;
    for byte in data {
        *matched = if *byte == END[*matched] { *matched + 1 } else { usize::from(*byte == b'\r') };
        if *matched == END.len() {
            *matched = 0;
            count += 1;
        }
    }
    count
}

async fn answer(stream: &mut TcpStream, count: usize) -> std::io::Result<()> {
    match count {
        0 => Ok(()),
        1 => stream.write_all(ANSWER).await,
        _ => stream.write_all(&ANSWER.repeat(count)).await,
    }
}

const SOME_LENGTH: Duration = Duration::from_millis(20); // a request that blocks does so as long
const SOME_OF: u64 = 100; // one request of as many blocks
static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn block_some(some: bool, count: usize) {
    if !some {
        return;
    }
    for _ in 0..count {
        if REQUESTS.fetch_add(1, Ordering::Relaxed) % SOME_OF == 0 {
            std::thread::sleep(SOME_LENGTH);
        }
    }
}

/// The buffer is part of the task.
async fn serve_held(mut stream: TcpStream, some: bool) -> std::io::Result<()> {
    let mut matched = 0;
    let mut buffer = [0; READ_SIZE];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        let count = count_requests(&mut matched, &buffer[..n]);
        block_some(some, count);
        answer(&mut stream, count).await?;
    }
}

/// No buffer while it waits.
fn read_now(stream: &TcpStream, matched: &mut usize) -> std::io::Result<Option<usize>> {
    let mut buffer = [0; READ_SIZE];
    match stream.try_read(&mut buffer) {
        Ok(0) => Ok(None),
        Ok(n) => Ok(Some(count_requests(matched, &buffer[..n]))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

async fn serve_bare(mut stream: TcpStream, some: bool) -> std::io::Result<()> {
    let mut matched = 0;
    loop {
        stream.readable().await?;
        match read_now(&stream, &mut matched)? {
            None => return Ok(()),
            Some(count) => {
                block_some(some, count);
                answer(&mut stream, count).await?
            }
        }
    }
}

async fn block(how: Block) {
    let length = Duration::from_millis(100);
    loop {
        let began = Instant::now();
        if how == Block::Busy {
            while began.elapsed() < length {
                std::hint::spin_loop();
            }
        } else if how == Block::Declared {
            tokio::task::block_in_place(|| std::thread::sleep(length));
        } else {
            std::thread::sleep(length);
        }
        tokio::time::sleep(length).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Block {
    Never,
    Sleep,
    Declared,
    Busy,
    Some,
}

struct Options {
    port: u16,
    workers: usize,
    blocking: Block,
    held: bool,
}

fn usage() -> ! {
    eprintln!("usage: server [--port N] [--workers N] [--block sleep|declared|busy|some] [--buffer held|none]");
    std::process::exit(2)
}

fn parse() -> Options {
    let mut options = Options { port: 8080, workers: 2, blocking: Block::Never, held: true };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_else(|| usage());
        match (arg.as_str(), value.as_str()) {
            ("--port", _) => options.port = value.parse().unwrap_or_else(|_| usage()),
            ("--workers", _) => options.workers = value.parse().unwrap_or_else(|_| usage()),
            ("--block", "sleep") => options.blocking = Block::Sleep,
            ("--block", "declared") => options.blocking = Block::Declared,
            ("--block", "busy") => options.blocking = Block::Busy,
            ("--block", "some") => options.blocking = Block::Some,
            ("--buffer", "held" | "none") => options.held = value == "held",
            _ => usage(),
        }
    }
    options
}

async fn accept_all(options: Options) {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await.expect("cannot listen");
    eprintln!("tokio: listening on http://{}/", listener.local_addr().unwrap());
    let some = options.blocking == Block::Some;
    if !some && options.blocking != Block::Never {
        for _ in 0..options.workers {
            tokio::spawn(block(options.blocking));
        }
    }
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok();
                if options.held {
                    tokio::spawn(async move { serve_held(stream, some).await.ok() });
                } else {
                    tokio::spawn(async move { serve_bare(stream, some).await.ok() });
                }
            }
            Err(error) => {
                eprintln!("tokio: accept: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn main() {
    let options = parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_all().build().unwrap();
    let server = runtime.spawn(accept_all(options));
    runtime.block_on(server).unwrap();
}
