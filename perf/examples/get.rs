//! One GET over and over, and what it costs the generator: `cargo run --release --example get --
//! 127.0.0.1:80 [--threads N] [--connections N] [--seconds N] [--rate R] [--pipeline N]`.
//! `perf/yardstick.sh` sets it against wrk.

use clap::Parser;
use souk_perf::engine::{
    Arrivals, Load, Plan, Protocol, Response, Stop, Tag, Workload, Wrong, run,
};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
struct Cli {
    address: SocketAddr,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Requests a second of an open loop; without it the loop is closed.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    #[arg(long, default_value = "/")]
    path: String,
}

struct Get(Vec<u8>);

impl Workload for Get {
    fn connect(&mut self, _connection: usize, _out: &mut Vec<u8>) {}

    fn next(&mut self, _connection: usize, out: &mut Vec<u8>) -> Tag {
        out.extend_from_slice(&self.0);
        Tag(0)
    }

    fn check(&mut self, _: usize, _: Tag, response: &Response<'_>) -> Result<(), Wrong> {
        if response.status == 200 { Ok(()) } else { Err(Wrong::Status) }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let load = match cli.rate {
        Some(rate_per_s) => Load::Open { rate_per_s, arrivals: Arrivals::Poisson },
        None => Load::Closed { pipeline: cli.pipeline, think: Duration::ZERO },
    };
    let plan = Plan {
        protocol: Protocol::Http,
        address: cli.address,
        threads: cli.threads,
        connections: cli.connections,
        load,
        ramp: Duration::ZERO,
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(cli.seconds),
        request_timeout: Duration::from_secs(10),
        seed: 1,
    };
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", cli.path, cli.address);
    match run(&plan, &Stop::default(), |_| Get(request.clone().into_bytes()), |_| {}) {
        Ok(measured) => {
            let latency = measured.latency_of_all();
            let ms = |quantile| {
                Duration::from_nanos(latency.value_at_quantile(quantile)).as_secs_f64() * 1e3
            };
            let rate = measured.rate_per_s();
            let cpu = measured.cpu.as_secs_f64() / measured.elapsed.as_secs_f64() / rate * 1e6;
            println!("{rate:.0} {cpu:.2} {:.2}ms {:.2}ms", ms(0.5), ms(0.99));
            for (class, count) in measured.errors.iter() {
                eprintln!("{}: {count}", class.name());
            }
            if measured.errors.total() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
