//! A relay over TCP between us and the real Redis.

use souk_stack::Stack;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Carries bytes both ways, counts what arrives from us, and damages the answers on demand.
pub struct Relay {
    pub url: String,
    /// Reads that brought bytes from us: at most one per write of ours.
    pub arrivals: Arc<AtomicUsize>,
    /// The next answers are: 0 passed on, 1 cut in their middle, 2 replaced by garbage.
    pub damage: Arc<AtomicUsize>,
    /// While set, answers stay where they are.
    pub held: Arc<AtomicBool>,
}

pub fn relay(stack: &Stack) -> Relay {
    let path = stack.redis_url().strip_prefix("unix://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (arrivals, damage, held) = (Arc::default(), Arc::default(), Arc::default());
    let relay = Relay { url, arrivals, damage, held };
    let (arrivals, damage) = (relay.arrivals.clone(), relay.damage.clone());
    let held = relay.held.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, UnixStream::connect(&path)) else { return };
            client.set_nodelay(true).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let arrivals = arrivals.clone();
            std::thread::spawn(move || forward(from, to, &arrivals));
            let (damage, held) = (damage.clone(), held.clone());
            std::thread::spawn(move || answer(server, client, &damage, &held));
        }
    });
    relay
}

fn forward(mut from: TcpStream, mut to: UnixStream, arrivals: &AtomicUsize) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        arrivals.fetch_add(1, Ordering::SeqCst);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn answer(mut from: UnixStream, mut to: TcpStream, damage: &AtomicUsize, held: &AtomicBool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        while held.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let sent = match damage.swap(0, Ordering::SeqCst) {
            0 => to.write_all(&buffer[..n]),
            1 => {
                let _ = to.write_all(&buffer[..n / 2]);
                break;
            }
            _ => to.write_all(b"$garbage\r\n"),
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
