//! What is shipped for Prometheus and Grafana fits what the programs really say.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use souk_stack::{PrivateDir, Stack, find_program};
use ureq::http::Method;

use crate::client::Client;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Queries without an answer on a machine where all is well.
const SILENT: [&str; 1] = ["souk_replica_lag_seconds"];

fn observe(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../observe").join(file)
}

fn program(name: &str) -> PathBuf {
    find_program(name).unwrap_or_else(|| panic!("{name} is missing: apt-get install prometheus"))
}

fn promtool(args: &[&str]) -> Output {
    Command::new(program("promtool")).args(args).current_dir(observe("")).output().unwrap()
}

/// Every query of the dashboard, as Grafana would send it.
fn queries() -> Vec<String> {
    let dashboard = std::fs::read_to_string(observe("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<String> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|query| query.replace("$__rate_interval", "1m").replace("$job", ".*"))
        .collect();
    assert!(!queries.is_empty() && !queries.iter().any(|query| query.contains('$')));
    queries
}

/// A Prometheus that scrapes these addresses; it ends with the test.
struct Prometheus {
    child: Child,
    address: String,
    _dir: PrivateDir,
}

impl Prometheus {
    fn start(jobs: &[(&str, String)]) -> Prometheus {
        let dir = PrivateDir::new().unwrap();
        let job = |(name, address): &(&str, String)| json!({"job_name": name, "static_configs": [{"targets": [address]}]});
        // JSON is YAML.
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [observe("alerts.yml").canonicalize().unwrap()],
            "scrape_configs": jobs.iter().map(job).collect::<Vec<_>>(),
        });
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let begin = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "prometheus ended:\n{said}");
            if let Some((_, address)) = said[begin..].split_once("msg=\"Listening on\" address=") {
                break address.trim().to_owned();
            }
        };
        // Its words must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Prometheus { child, address, _dir: dir }
    }

    /// The series that answer a query.
    fn ask(&self, query: &str) -> Vec<Value> {
        let query = form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>();
        let answer = Client::new(&self.address).get(&format!("/api/v1/query?query={query}"));
        let answer = answer.json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// How often it has read both programs.
    fn readings(&self) -> u64 {
        let counts = self.ask("count_over_time(souk_build_info[5m])");
        let count = |series: &Value| series["value"][1].as_str().unwrap().parse::<u64>().unwrap();
        if counts.len() < 2 { 0 } else { counts.iter().map(count).min().unwrap() }
    }

    /// The alert rules, with what came of evaluating them.
    fn rules(&self) -> Vec<Value> {
        let answer = Client::new(&self.address).get("/api/v1/rules").json();
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        let rules: Vec<Value> =
            groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        assert!(!rules.is_empty());
        rules
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Logs in, reads, and asks for what is not there.
fn traffic(stack: &Stack) {
    let client = Client::new(stack.address());
    let ada = json!({"username": "ada", "password": "correct horse"});
    client.post("/api/v1/users", &ada);
    let login = client.post("/api/v1/login", &ada);
    let bearer = format!("Bearer {}", login.json()["token"].as_str().unwrap());
    for _ in 0..5 {
        let me = client.send(Method::GET, "/api/v1/me", &[("authorization", &bearer)], &[]);
        assert_eq!(me.status, 200);
        assert_eq!(client.get("/api/v1/users/by-name/ada").status, 200);
        assert_eq!(client.get("/api/v1/users/by-name/nobody").status, 404);
    }
}

/// A TCP address that leads to an admin listener's Unix socket, which Prometheus cannot read.
fn over_tcp(admin: &str) -> String {
    let socket = PathBuf::from(admin.strip_prefix("unix:").unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            // The program may have ended: the scrape then fails, as it should.
            let Ok(inside) = UnixStream::connect(&socket) else { continue };
            let (mut from, mut to) = (outside.try_clone().unwrap(), inside.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || {
                let (mut inside, mut outside) = (inside, outside);
                std::io::copy(&mut inside, &mut outside).ok();
                outside.shutdown(Shutdown::Both).ok();
            });
        }
    });
    address
}

#[test]
fn the_alert_rules_are_valid_and_fire_when_they_should_and_only_then() {
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let output = promtool(&args);
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

#[test]
fn prometheus_reads_both_programs_and_every_question_of_the_dashboard_has_an_answer() {
    let stack = Stack::builder().start().unwrap();
    let prometheus = Prometheus::start(&[
        ("souk-front", over_tcp(&stack.front_admin(0))),
        ("soukd", over_tcp(&stack.daemon_admin(0))),
    ]);
    traffic(&stack);
    // A rate needs two readings after the requests; the programs may count the last of these a
    // moment after they were answered.
    let until = Instant::now() + PATIENCE;
    let before = prometheus.readings();
    while prometheus.readings() < before + 3 {
        let up = prometheus.ask("up");
        assert!(Instant::now() < until, "prometheus does not read the programs: {up:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    for query in queries() {
        let silent = SILENT.iter().any(|name| query.contains(name));
        assert_eq!(prometheus.ask(&query).is_empty(), silent, "{query}");
    }
    let rules = std::fs::read_to_string(observe("alerts.yml")).unwrap();
    for name in names(&rules) {
        assert_eq!(prometheus.ask(&name).is_empty(), SILENT.contains(&&*name), "{name}");
    }
    while let Some(rule) = prometheus.rules().into_iter().find(|rule| rule["health"] != "ok") {
        assert!(rule["health"] == "unknown" && Instant::now() < until, "{rule}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The metrics that a text names.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    words.filter(|word| word.starts_with("souk_")).map(str::to_owned).collect()
}
