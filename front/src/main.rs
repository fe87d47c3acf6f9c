//! `souk-front`: Souk's HTTP edge.

use clap::Parser;
use souk_front::config::{ConnectionSettings, Settings};
use souk_front::limits::OTHER_FILES;
use souk_front::server::{Server, StartError};
use souk_process::{SettingsError, Sources};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves Souk's HTTP API and pages, and asks the daemons over the link.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Settings file; front/souk-front.toml documents every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to serve (http.listen).
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address and port that take bids as frames (bids.listen).
    #[arg(long, value_name = "ADDR")]
    bids: Option<String>,
    /// Ring threads (http.threads).
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// uring, epoll or auto (http.driver).
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
    /// Address and port of a daemon; repeat it for more (link.daemons).
    #[arg(long, value_name = "ADDR")]
    daemon: Vec<String>,
    /// Print the settings in force and exit.
    #[arg(long)]
    print_config: bool,
}

/// Exit code for settings that are refused.
const BAD_SETTINGS: u8 = 2;
/// Exit code for everything else that prevents a start.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match read_settings(&arguments) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error, BAD_SETTINGS),
    };
    if arguments.print_config {
        souk_process::say(souk_process::to_toml(&settings).trim_end());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = souk_process::log::init(&settings.log, souk_trace::current_id) {
        return refuse(&error, BAD_SETTINGS);
    }
    match serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Start(error @ StartError::Settings(_))) => refuse(&error, BAD_SETTINGS),
        Err(error) => refuse(&error, FAILED),
    }
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

fn refuse(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("souk-front: {error}");
    ExitCode::from(code)
}

fn read_settings(arguments: &Arguments) -> Result<Settings, SettingsError> {
    let daemons = (!arguments.daemon.is_empty()).then(|| arguments.daemon.join(","));
    let sources = Sources::new(arguments.config.clone())
        .flag("http.listen", arguments.listen.as_ref())
        .flag("bids.listen", arguments.bids.as_ref())
        .flag("http.threads", arguments.threads)
        .flag("http.driver", arguments.driver.as_ref())
        .flag("link.daemons", daemons);
    souk_process::load(&sources)
}

/// Holds no more connections than there are open files: past that, accepting would fail.
fn fit_open_files(connections: &mut ConnectionSettings) {
    let files = match souk_process::raise_open_files() {
        Ok(files) => files,
        Err(error) => return tracing::warn!(%error, "cannot raise the limit of open files"),
    };
    let room = u32::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(u32::MAX).max(1);
    if connections.max <= room {
        return;
    }
    let wanted = std::mem::replace(&mut connections.max, room);
    if wanted == ConnectionSettings::default().max {
        tracing::info!(files, connections = room, "as many connections as open files allow");
    } else {
        tracing::warn!(
            files,
            connections = room,
            "connections.max = {wanted} needs more open files: raise the hard limit \
             (LimitNOFILE, ulimit -Hn)"
        );
    }
}

fn serve(mut settings: Settings) -> Result<(), Refusal> {
    fit_open_files(&mut settings.connections);
    let mut signals = souk_process::signal::termination().map_err(Refusal::Signals)?;
    let server = Server::start(settings)?;
    let bids = server.bids_address();
    let announced = bids.map(|bids| format!(" bids {bids}")).unwrap_or_default();
    souk_process::say(format_args!("souk-front ready http://{}{announced}", server.address()));
    let bids = bids.map(tracing::field::display);
    tracing::info!(address = %server.address(), bids, driver = server.driver().name(), "serving");
    let mut byte = [0];
    let _ = signals.read(&mut byte);
    tracing::info!("stopping: finishing the requests in flight; a second signal ends at once");
    std::thread::spawn(move || {
        let _ = signals.read(&mut byte);
        std::process::exit(i32::from(FAILED));
    });
    server.stop();
    Ok(())
}
