//! The yardstick of `souk bench compare`: accounts as a good engineer would otherwise write them.
//!
//! One process on tokio's own scheduler: axum in front, sqlx with a pool of prepared statements
//! behind, one multiplexed Redis connection that pipelines by itself, rows cached aside for five
//! minutes, Argon2 off the request threads. The table is Souk's, and so are the answers. It has
//! what such a service has and no more: no batching across requests, no single flight, no memo of
//! verified passwords.

mod passwords;
mod routes;
mod store;

use clap::Parser;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that may wait to be accepted: a storm of 1,000 fits.
const BACKLOG: u32 = 4096;

#[derive(Parser)]
#[command(name = "souk-baseline", version, about = "The yardstick of `souk bench compare`")]
struct Args {
    /// Address to serve; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    http: SocketAddr,
    /// The database, with Souk's tables
    #[arg(long)]
    mysql: String,
    /// Redis, for rows and sessions
    #[arg(long)]
    redis: String,
    /// Read every row from the database
    #[arg(long)]
    no_cache: bool,
    /// Connections to the database
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(&args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("souk-baseline: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let store =
        store::Store::open(&args.mysql, &args.redis, args.connections, !args.no_cache).await?;
    let socket = if args.http.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(args.http)?;
    let listener = socket.listen(BACKLOG)?;
    println!("souk-baseline ready {}", listener.local_addr()?);
    let mut stop = signal(SignalKind::terminate())?;
    let router = routes::router(Arc::new(store));
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = stop.recv() => {}
    }
    Ok(())
}
