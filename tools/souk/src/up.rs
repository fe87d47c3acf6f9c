//! `souk up`: a whole Souk on one machine, in one directory.
//!
//! Everything is a child of this process and dies with it. Stopping goes from the outside in:
//! front, daemon, stores. What the directory holds stays for the next run.

mod events;
mod home;
mod noise;
mod settings;

use souk_process::say;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use souk_stack::{
    Config, MariaDb, MariaDbOptions, PrivateDir, Program, ProgramSpec, Redis, RedisOptions, Watch,
    sibling,
};

use crate::{Failed, block_on, limits, migrate, seed};
use events::{Event, Events};
use home::Home;

pub use home::runs_in;

/// Where `souk up` serves.
#[derive(clap::Args)]
pub struct Addresses {
    /// Address of the pages and the API; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Address that takes bids as frames [default: 127.0.0.1:8090, or any free port if --http is at
    /// any]
    #[arg(long, value_name = "ADDR")]
    bids: Option<SocketAddr>,
}

impl Addresses {
    /// All of them, each with its flag.
    pub fn all(&self) -> [(SocketAddr, &'static str); 2] {
        let port = if self.http.port() == 0 { 0 } else { limits::BIDS_PORT };
        let bids = self.bids.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into());
        [(self.http, "--http"), (bids, "--bids")]
    }
}

/// Flags of `souk up`.
#[derive(clap::Args)]
pub struct UpArgs {
    #[command(flatten)]
    addresses: Addresses,
    /// Where data, settings and secrets are kept between runs
    #[arg(long, value_name = "DIR", default_value = "./var")]
    dir: PathBuf,
    /// Make user1…userN (password: "password") if they are missing; 0 makes none
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(0..=limits::SEED_USERS_MAX))]
    users: u64,
    /// Read every row from the database
    #[arg(long)]
    no_cache: bool,
    /// Lift the rate limits
    #[arg(long)]
    no_limits: bool,
    /// Ring threads of the front; 0 means half the cores
    #[arg(long, value_name = "N")]
    front_threads: Option<u16>,
    /// Ring threads of the daemon; 0 means half the cores
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// Use this database instead of starting a MariaDB (SOUK_MYSQL_URL is not used)
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Use this Redis instead of starting one: redis://host:port or unix:///path (SOUK_REDIS_URL is
    /// not used)
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Print the settings of both programs and end
    #[arg(long)]
    print_config: bool,
}

/// Starts everything, says where it is, and waits for the end.
pub fn run(args: &UpArgs) -> Result<ExitCode, Failed> {
    if args.print_config {
        return print_config(args);
    }
    let home = Home::open(&args.dir)?;
    // Told now rather than by the front, after the stores, the migrations and the demo users.
    for (address, flag) in args.addresses.all() {
        TcpListener::bind(address).map_err(|error| {
            format!(
                "cannot serve {address}: {error}. Stop what uses it, or choose another with {flag}"
            )
        })?;
    }
    let events = Events::begin()?;
    events.say(&format!("starting; data, settings and secrets are in {}", home.dir().display()));
    let mut running = Running::default();
    let ended = running.serve(args, &home, &events);
    // Whatever ended it, what runs by now is stopped in order.
    events.stopping();
    let hint = if events.stop_asked() { "; Ctrl-C again ends at once" } else { "" };
    events.say(&format!("stopping, the stores last{hint}"));
    let stopped = running.stop();
    ended.and(stopped).map(|()| ExitCode::SUCCESS)
}

/// What runs, in the order it was started.
#[derive(Default)]
struct Running {
    mariadb: Option<MariaDb>,
    redis: Option<Redis>,
    daemon: Option<Program>,
    front: Option<Program>,
}

impl Running {
    /// Starts everything and waits until it shall stop; a child that ends by itself is an error.
    fn serve(&mut self, args: &UpArgs, home: &Home, events: &Events) -> Result<(), Failed> {
        if !self.start(args, home, events)? {
            return Ok(());
        }
        announce(args, self);
        match events.next() {
            Event::Stop => Ok(()),
            Event::Ended { label, status } => {
                Err(Failed(format!("{label} ended ({status}); see its last lines above")))
            }
        }
    }

    /// Starts everything; false if it was asked to stop on the way.
    fn start(&mut self, args: &UpArgs, home: &Home, events: &Events) -> Result<bool, Failed> {
        let watch = events.watch();
        let mysql_url = self.start_mariadb(args, home, &watch)?;
        let redis_url = self.start_redis(args, home, &watch)?;
        if events.stop_asked() {
            return Ok(false);
        }
        let report = block_on(souk_db::migrate::migrate(&mysql_url))??;
        events.say(&migrate::describe(&report));
        if args.users > 0 {
            let added = seed::seed(&mysql_url, args.users, &events.stop_flag())?;
            if added > 0 {
                events.say(&format!("added {added} demo users"));
            }
        }
        if events.stop_asked() {
            return Ok(false);
        }
        let config = settings::daemon(args, home, &mysql_url, &redis_url);
        let daemon = start_program("soukd", &config, &home.daemon_file(), events)?;
        let daemon = self.daemon.insert(daemon);
        if events.stop_asked() {
            return Ok(false);
        }
        let config = settings::front(args, home, daemon.address());
        self.front = Some(start_program("souk-front", &config, &home.front_file(), events)?);
        Ok(true)
    }

    /// The database's URL, from the flag or of a MariaDB that is started here.
    fn start_mariadb(
        &mut self,
        args: &UpArgs,
        home: &Home,
        watch: &Arc<dyn Watch>,
    ) -> Result<String, Failed> {
        if let Some(url) = &args.mysql {
            return Ok(url.clone());
        }
        let memory = rustix::system::sysinfo();
        let memory_mib = u64::from(memory.mem_unit) * memory.totalram / (1 << 20);
        let buffer_pool_mib = within(memory_mib / 4, &limits::BUFFER_POOL_MIB);
        let mariadb = MariaDb::start(MariaDbOptions {
            dir: home.path("mariadb"),
            buffer_pool_mib,
            redo_log_mib: within(buffer_pool_mib / 4, &limits::REDO_LOG_MIB),
            watch: watch.clone(),
        })?;
        Ok(self.mariadb.insert(mariadb).url())
    }

    /// Redis's URL, from the flag or of one that is started here.
    fn start_redis(
        &mut self,
        args: &UpArgs,
        home: &Home,
        watch: &Arc<dyn Watch>,
    ) -> Result<String, Failed> {
        if let Some(url) = &args.redis {
            return Ok(url.clone());
        }
        let options = RedisOptions { dir: home.path("redis"), watch: watch.clone() };
        Ok(self.redis.insert(Redis::start_with(options)?).url())
    }

    /// Stops everything that runs, from the outside in; the first failure is reported, and does
    /// not keep the others running.
    fn stop(&mut self) -> Result<(), Failed> {
        let mut done = Ok(());
        for program in [&self.front, &self.daemon].into_iter().flatten() {
            done = done.and(program.stop().map(drop).map_err(Failed::from));
        }
        if let Some(redis) = &mut self.redis {
            done = done.and(redis.stop().map_err(Failed::from));
        }
        if let Some(mariadb) = &mut self.mariadb {
            done = done.and(mariadb.stop().map_err(Failed::from));
        }
        done
    }
}

/// Starts one of our programs with settings that the environment does not override.
fn start_program(
    name: &str,
    config: &Config,
    file: &Path,
    events: &Events,
) -> Result<Program, Failed> {
    config.write(file)?;
    let mut spec = ProgramSpec::new(name, sibling(name)?);
    spec = spec.arg("--config").arg(file).watch(&events.watch());
    spec.without = settings::variables(config);
    for variable in spec.without.iter().filter(|name| std::env::var_os(name).is_some()) {
        events.say(&format!("{variable} is not used: `souk up` sets this itself (--help)"));
    }
    Ok(Program::start(&spec)?)
}

fn within(value: u64, range: &std::ops::RangeInclusive<u64>) -> u64 {
    value.clamp(*range.start(), *range.end())
}

/// What people and programs want to know once it serves.
fn announce(args: &UpArgs, running: &Running) {
    let address = running.front.as_ref().map_or("", Program::address);
    let bids = running.front.as_ref().and_then(|front| front.other("bids")).unwrap_or_default();
    say(format_args!("souk ready http://{address} bids {bids}"));
    if args.users > 0 {
        say("Demo login: user1, password: password");
    }
    say("Ctrl-C stops it.");
}

/// Lets each program print what it would run with: its defaults, our file, the environment.
fn print_config(args: &UpArgs) -> Result<ExitCode, Failed> {
    let home = Home::at(&std::path::absolute(&args.dir)?);
    let mysql = args.mysql.clone().unwrap_or_else(|| MariaDb::url_in(&home.path("mariadb")));
    let redis = args.redis.clone().unwrap_or_else(|| Redis::url_in(&home.path("redis")));
    let daemon = settings::daemon(args, &home, &mysql, &redis);
    // The daemon takes any free port: this one is an example.
    let front = settings::front(args, &home, "127.0.0.1:7400");
    let scratch = PrivateDir::new()?;
    for (name, config) in [("soukd", daemon), ("souk-front", front)] {
        let file = scratch.path().join(name);
        config.write(&file)?;
        let mut command = Command::new(sibling(name)?);
        for variable in settings::variables(&config) {
            command.env_remove(variable);
        }
        let output = command.arg("--config").arg(&file).arg("--print-config").output()?;
        if !output.status.success() {
            return Err(Failed(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
        }
        say(format_args!("# {name}\n{}", String::from_utf8_lossy(&output.stdout)));
    }
    Ok(ExitCode::SUCCESS)
}
