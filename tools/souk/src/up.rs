//! `souk up`: a whole Souk on one machine, in one directory.
//!
//! Everything is a child of this process and dies with it. Stopping goes from the outside in:
//! front, daemon, stores. What the directory holds stays for the next run.

mod events;
mod home;

use souk_process::say;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use souk_stack::{
    Config, MariaDb, MariaDbOptions, PrivateDir, Program, ProgramSpec, Redis, RedisOptions, Watch,
    sibling,
};

use crate::{Failed, block_on, limits, migrate, seed};
use events::{Event, Events};
use home::Home;

pub use home::runs_in;

/// Flags of `souk up`.
#[derive(clap::Args)]
pub struct UpArgs {
    /// Address of the pages and the API; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
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
    /// Use this database instead of starting a MariaDB
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Use this Redis instead of starting one: redis://host:port or unix:///path
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
    let events = Events::begin()?;
    let mut running = Running::default();
    let started = running.start(args, &home, &events);
    let ended = match started {
        Ok(true) => {
            announce(args, &running);
            match events.next() {
                Event::Stop => Ok(()),
                Event::Ended { label, status } => {
                    Err(Failed(format!("{label} ended ({status}); see its last lines above")))
                }
            }
        }
        // Asked to stop while starting.
        Ok(false) => Ok(()),
        Err(why) => Err(why),
    };
    events.stopping();
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
            let seeded = seed::seed(&mysql_url, args.users, &events.stop_flag())?;
            if seeded.added > 0 {
                events.say(&format!("added {} demo users", seeded.added));
            }
        }
        if events.stop_asked() {
            return Ok(false);
        }
        let stores = (mysql_url.as_str(), redis_url.as_str());
        daemon_config(args, home, stores).write(&home.daemon_file())?;
        let program = sibling("soukd")?;
        let daemon = Program::start(&spec("soukd", program, home.daemon_file(), &watch))?;
        let daemon_address = daemon.address().to_owned();
        self.daemon = Some(daemon);
        if events.stop_asked() {
            return Ok(false);
        }
        front_config(args, home, &daemon_address).write(&home.front_file())?;
        let program = sibling("souk-front")?;
        let front = Program::start(&spec("souk-front", program, home.front_file(), &watch))?;
        self.front = Some(front);
        Ok(true)
    }

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

fn within(value: u64, range: &std::ops::RangeInclusive<u64>) -> u64 {
    value.clamp(*range.start(), *range.end())
}

fn spec(label: &str, program: PathBuf, config: PathBuf, watch: &Arc<dyn Watch>) -> ProgramSpec {
    ProgramSpec::new(label, program).arg("--config").arg(config).watch(watch)
}

fn daemon_config(args: &UpArgs, home: &Home, (mysql, redis): (&str, &str)) -> Config {
    let mut config = Config::new();
    config
        // The front is told the port that was free.
        .set("link.listen", "127.0.0.1:0")
        .set("link.secret_file", home.text("secrets/link"))
        .set("daemon.node", "local")
        .set("daemon.state_dir", home.text("state"))
        .set("mysql.url", mysql)
        .set("redis.url", redis)
        .set("cache.enabled", !args.no_cache)
        .set("sessions.token_secret_file", home.text("secrets/token"))
        .set("limits.enabled", !args.no_limits)
        .set("log.format", "human");
    if let Some(shards) = args.shards {
        config.set("daemon.shards", i64::from(shards));
    }
    config
}

fn front_config(args: &UpArgs, home: &Home, daemon: &str) -> Config {
    let mut config = Config::new();
    config
        .set("http.listen", args.http.to_string())
        .set("link.daemons", vec![daemon])
        .set("link.secret_file", home.text("secrets/link"))
        .set("log.format", "human");
    if let Some(threads) = args.front_threads {
        config.set("http.threads", i64::from(threads));
    }
    config
}

/// What people and programs want to know once it serves.
fn announce(args: &UpArgs, running: &Running) {
    let address = running.front.as_ref().map_or("", Program::address);
    say(format_args!("souk ready http://{address}"));
    if args.users > 0 {
        say("Demo login: user1, password: password");
    }
    say("Ctrl-C stops it.");
}

/// Lets each program print what it would run with: its defaults, our file, the environment.
fn print_config(args: &UpArgs) -> Result<ExitCode, Failed> {
    let scratch = PrivateDir::new()?;
    let scratch_home = Home::at(scratch.path());
    scratch_home.prepare()?;
    let home = Home::at(&std::path::absolute(&args.dir)?);
    let mysql = args.mysql.clone().unwrap_or_else(|| {
        format!("mysql://root@localhost/souk?socket={}", home.text("mariadb/sock"))
    });
    let redis = args.redis.clone().unwrap_or_else(|| format!("unix://{}", home.text("redis/sock")));
    let daemon = daemon_config(args, &home, (mysql.as_str(), redis.as_str()));
    let front = front_config(args, &home, "127.0.0.1:7400");
    for (name, config) in [("soukd", daemon), ("souk-front", front)] {
        let file = scratch.path().join(name);
        config.write(&file)?;
        let output = std::process::Command::new(sibling(name)?)
            .arg("--config")
            .arg(&file)
            .arg("--print-config")
            .output()?;
        if !output.status.success() {
            return Err(Failed(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
        }
        say(format_args!("# {name}\n{}", String::from_utf8_lossy(&output.stdout)));
    }
    Ok(ExitCode::SUCCESS)
}
