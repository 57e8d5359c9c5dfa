//! Hand-over of events in Rust, for the table of the command in the folder above.
//!
//! Each line of standard input is `NAME WORK MAX BATCH N`: move the integers below N and
//! add them up. The response is `NANOSECONDS COUNT SUM`, or `cannot`.

use std::io::{self, BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

/// What a run came to.
struct Outcome {
    took: Duration,
    count: u64,
    sum: u64,
}

/// What a consumer has got.
#[derive(Default)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, events: &[u64]) {
        for v in events {
            self.sum = self.sum.wrapping_add(*v);
        }
        self.count += events.len() as u64;
    }

    fn after(self, begin: Instant) -> Outcome {
        Outcome { took: begin.elapsed(), count: self.count, sum: self.sum }
    }
}

/// Fills a batch with the integers from `next`, as far as `n` goes.
fn fill(batch: &mut Vec<u64>, next: &mut u64, size: usize, n: u64) {
    batch.clear();
    let end = n.min(*next + size as u64);
    batch.extend(*next..end);
    *next = end;
}

/// No hand-over: what filling and adding up cost alone.
fn loops(size: usize, n: u64) -> Outcome {
    let (mut sum, mut batch, mut next) = (Sum::default(), Vec::with_capacity(size), 0);
    let begin = Instant::now();
    while next < n {
        fill(&mut batch, &mut next, size, n);
        sum.add(std::hint::black_box(&batch)); // the batch must be in memory, as for a consumer
    }
    sum.after(begin)
}

/// tokio: single events; the sender reserves room for a batch, the receiver takes what is
/// there, up to a batch.
async fn tokio_many(max: usize, size: usize, n: u64) -> Outcome {
    let (tx, mut rx) = tokio::sync::mpsc::channel::<u64>(max);
    let begin = Instant::now();
    let sender = tokio::spawn(async move {
        let mut next = 0;
        while next < n {
            let wanted = size.min((n - next) as usize);
            for permit in tx.reserve_many(wanted).await.expect("the receiver is there") {
                permit.send(next);
                next += 1;
            }
        }
    });
    let receiver = tokio::spawn(async move {
        let (mut sum, mut batch) = (Sum::default(), Vec::with_capacity(size));
        while rx.recv_many(&mut batch, size).await > 0 {
            sum.add(&batch);
            batch.clear();
        }
        sum
    });
    sender.await.expect("the sender does not fail");
    receiver.await.expect("the receiver does not fail").after(begin)
}

/// tokio: whole batches, which go round between two channels as in the Go reference.
async fn tokio_batches(max: usize, size: usize, n: u64) -> Outcome {
    let flight = (max / size).max(1);
    let (full, mut taken) = tokio::sync::mpsc::channel::<Vec<u64>>(flight);
    let (back, mut empty) = tokio::sync::mpsc::channel::<Vec<u64>>(flight);
    for _ in 0..flight {
        back.try_send(Vec::with_capacity(size)).expect("there is room");
    }
    let begin = Instant::now();
    let sender = tokio::spawn(async move {
        let mut next = 0;
        while next < n {
            let Some(mut batch) = empty.recv().await else { return };
            fill(&mut batch, &mut next, size, n);
            if full.send(batch).await.is_err() {
                return;
            }
        }
    });
    let receiver = tokio::spawn(async move {
        let mut sum = Sum::default();
        while let Some(batch) = taken.recv().await {
            sum.add(&batch);
            let _ = back.send(batch).await; // the sender has ended when this fails
        }
        sum
    });
    sender.await.expect("the sender does not fail");
    receiver.await.expect("the receiver does not fail").after(begin)
}

/// crossbeam: whole batches between two threads.
fn crossbeam_batches(max: usize, size: usize, n: u64) -> Outcome {
    let flight = (max / size).max(1);
    let (full, taken) = crossbeam_channel::bounded::<Vec<u64>>(flight);
    let (back, empty) = crossbeam_channel::bounded::<Vec<u64>>(flight);
    for _ in 0..flight {
        back.send(Vec::with_capacity(size)).expect("there is room");
    }
    let begin = Instant::now();
    thread::scope(|s| {
        s.spawn(move || {
            let mut next = 0;
            while next < n {
                let Ok(mut batch) = empty.recv() else { return };
                fill(&mut batch, &mut next, size, n);
                if full.send(batch).is_err() {
                    return;
                }
            }
        });
        let mut sum = Sum::default();
        for batch in taken {
            sum.add(&batch);
            let _ = back.send(batch); // the sender has ended when this fails
        }
        sum.after(begin)
    })
}

/// crossbeam: single events from a thread to a thread.
fn crossbeam_one(max: usize, n: u64) -> Outcome {
    let (tx, rx) = crossbeam_channel::bounded::<u64>(max);
    let begin = Instant::now();
    thread::scope(|s| {
        s.spawn(move || {
            for v in 0..n {
                if tx.send(v).is_err() {
                    return;
                }
            }
        });
        let mut sum = Sum::default();
        for v in rx {
            sum.add(&[v]);
        }
        sum.after(begin)
    })
}

/// tokio: single events from a thread outside of the runtime to a task.
fn tokio_one(rt: &tokio::runtime::Runtime, max: usize, size: usize, n: u64) -> Outcome {
    let (tx, mut rx) = tokio::sync::mpsc::channel::<u64>(max);
    let begin = Instant::now();
    let receiver = rt.spawn(async move {
        let (mut sum, mut batch) = (Sum::default(), Vec::with_capacity(size));
        while rx.recv_many(&mut batch, size).await > 0 {
            sum.add(&batch);
            batch.clear();
        }
        sum
    });
    thread::scope(|s| {
        s.spawn(move || {
            for v in 0..n {
                if tx.blocking_send(v).is_err() {
                    return;
                }
            }
        });
    });
    rt.block_on(receiver).expect("the receiver does not fail").after(begin)
}

fn main() -> io::Result<()> {
    let rt = tokio::runtime::Builder::new_multi_thread().build()?;
    let mut out = io::stdout();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, work, max, size, n] = words[..] else {
            return Err(io::Error::other(format!("not a command: {line}")));
        };
        let number = |s: &str| s.parse::<u64>().map_err(io::Error::other);
        let (max, size, n) = (number(max)? as usize, number(size)? as usize, number(n)?);
        let outcome = match (name, work) {
            ("tokio-many", "W1") => rt.block_on(async { tokio::spawn(tokio_many(max, size, n)).await }).map_err(io::Error::other)?,
            ("tokio-batches", "W1") => rt.block_on(async { tokio::spawn(tokio_batches(max, size, n)).await }).map_err(io::Error::other)?,
            ("tokio-many", "W6") => tokio_one(&rt, max, size, n),
            ("loops", "W1") => loops(size, n),
            ("crossbeam", "W1") => crossbeam_batches(max, size, n),
            ("crossbeam", "W6") => crossbeam_one(max, n),
            _ => {
                writeln!(out, "cannot")?;
                out.flush()?;
                continue;
            }
        };
        writeln!(out, "{} {} {}", outcome.took.as_nanos(), outcome.count, outcome.sum)?;
        out.flush()?;
    }
    Ok(())
}
