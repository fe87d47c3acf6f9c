//! A process whose time is spent where we know: one thread computes, one sleeps. It runs until it
//! is killed or, with an argument, for as many milliseconds.

use std::hint::black_box;
use std::time::Duration;
use std::{env, thread};

fn main() {
    thread::Builder::new().name("computes".into()).spawn(spends_all_its_time).expect("a thread");
    thread::Builder::new().name("sleeps".into()).spawn(waits_most_of_its_time).expect("a thread");
    println!("busy");
    match env::args().nth(1).and_then(|millis| millis.parse().ok()) {
        Some(millis) => thread::sleep(Duration::from_millis(millis)),
        None => loop {
            thread::park();
        },
    }
}

#[inline(never)]
fn spends_all_its_time() {
    let mut number = 1_u64;
    loop {
        number = black_box(step(number));
    }
}

#[inline(always)]
fn step(number: u64) -> u64 {
    let next = |number: u64| number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (0..1000).fold(number, |number, _| next(number))
}

#[inline(never)]
fn waits_most_of_its_time() {
    loop {
        thread::sleep(Duration::from_millis(5));
        black_box(());
    }
}
