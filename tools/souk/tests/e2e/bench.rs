//! `souk bench` on real servers: every scenario, shortly, with every answer right; what is written
//! can be read; who refuses or talks nonsense is counted. Nothing here looks at how fast it is.

mod baseline;
mod report;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use souk_stack::{PrivateDir, Stack};

use crate::accounts::stack;
use crate::command::{Outcome, souk, souk_command};

/// Load that any machine can take, for a second.
const LITTLE: [&str; 6] = ["--duration", "1s", "--warm-up", "0s", "--connections", "8"];

fn bench(args: &[&str], more: &[&str]) -> Outcome {
    souk(&[&["bench"], args, more].concat())
}

/// A stack with the demo users 1 to `count`.
fn with_users(count: u64) -> Stack {
    let stack = stack();
    let url = stack.mysql_url();
    let seeded = souk(&["seed", "--users", &count.to_string(), "--mysql", &url]);
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    stack
}

#[test]
fn every_scenario_runs_without_an_error_and_every_answer_is_right() {
    let stack = with_users(200);
    let home = PrivateDir::new().expect("a directory");
    let token = souk(&["token", "--role", "service", "--mysql", &stack.mysql_url()]);
    let token_file = home.path().join("token").to_string_lossy().into_owned();
    fs::write(&token_file, token.stdout).expect("written");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../perf/scenarios");
    let mut ran = 0;
    for entry in fs::read_dir(folder).expect("the scenarios").flatten() {
        // The same scenarios with fewer people, since each member costs a login at full price.
        let text = fs::read_to_string(entry.path()).expect("readable");
        let few: Vec<_> = text.lines().map(few).collect();
        let file = home.path().join(entry.file_name());
        fs::write(&file, few.join("\n")).expect("written");
        let path = file.to_string_lossy();
        let http = stack.http();
        let args =
            ["run", &path, "--url", &http, "--token-file", &token_file, "--assert", "answered>0"];
        let mut flags = LITTLE.to_vec();
        flags.extend(["--bids", stack.bids_address()]);
        if !text.contains("once = true") {
            flags.extend(["--rate", "20"]);
        }
        let outcome = bench(&args, &flags);
        assert_eq!(outcome.code, Some(0), "{path}: {outcome:?}");
        assert!(outcome.stdout.contains("errors: none"), "{path}: {}", outcome.stdout);
        ran += 1;
    }
    let list = bench(&["list"], &[]);
    assert_eq!(list.stdout.lines().count(), ran, "{list:?}");
}

fn few(line: &str) -> String {
    match line.split_once(" = ") {
        Some(("users", _)) => "users = 200".to_owned(),
        Some(("members", _)) => "members = 5".to_owned(),
        Some(("auctions", _)) => "auctions = 5".to_owned(),
        _ => line.to_owned(),
    }
}

#[test]
fn a_private_souk_is_measured_and_what_came_out_is_kept() {
    let home = PrivateDir::new().expect("a directory");
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let (runs, log, page) = (path("runs.jsonl"), path("times.hlog"), path("page.html"));
    let flames = path("flames");
    let args = ["run", "profile-hot", "--users", "20", "--rate", "400", "--no-cache"];
    let keep = ["--out", &runs, "--hdr", &log, "--report", &page, "--flamegraph", &flames];
    let good = bench(&args, &[&keep[..], &LITTLE, &["--assert", "answered>0,p99<60s"]].concat());
    assert_eq!(good.code, Some(0), "{good:?}");

    let line = fs::read_to_string(&runs).expect("kept");
    let record: Value = serde_json::from_str(line.trim_end()).expect("one line of JSON");
    assert_eq!((&record["scenario"], &record["target"]), (&"profile-hot".into(), &"souk".into()));
    assert_eq!(record["load"]["cache"], false);
    let answered = record["figures"]["answered"].as_u64().expect("a number");
    assert!(answered > 0 && record["figures"]["errors"] == serde_json::json!({}), "{record}");
    for role in ["front", "daemon", "redis", "mysql", "generator"] {
        assert!(record["figures"]["cpu_us"][role].is_number(), "{role}: {record}");
    }
    for fact in ["kernel", "cpu", "cores", "memory_mib"] {
        assert!(!record["machine"][fact].is_null(), "{fact}: {record}");
    }

    assert_eq!(logged(&log, Some("profile")), answered, "the log holds every answer");
    let html = fs::read_to_string(&page).expect("kept");
    assert!(html.contains("</html>"));
    for of_a_real_run in ["soukd: GetUserByName", "<th scope=\"row\">mysql<td>", "souk-front: "] {
        assert!(html.contains(of_a_real_run), "{of_a_real_run}");
    }
    for program in ["front.svg", "daemon.svg"] {
        let graph = Path::new(&flames).join(program);
        let svg = fs::read_to_string(graph).unwrap_or_else(|why| panic!("{why}: {good:?}"));
        assert!(svg.contains("</svg>"), "{program}");
    }
}

/// How many times an interval log holds under a tag.
fn logged(path: &str, tag: Option<&str>) -> u64 {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let bytes = fs::read(path).expect("kept");
    let mut count = 0;
    for entry in IntervalLogIterator::new(&bytes) {
        if let LogEntry::Interval(interval) = entry.expect("an entry")
            && interval.tag().map(|tag| tag.as_str()) == tag
        {
            let text = interval.encoded_histogram();
            let bytes = data_encoding::BASE64.decode(text.as_bytes()).expect("base64");
            let times: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).expect("a histogram");
            count += times.len();
        }
    }
    count
}

#[test]
fn a_condition_that_does_not_hold_fails_the_run_and_says_so() {
    let stack = with_users(20);
    let http = stack.http();
    let args = ["run", "profile-hot", "--url", &http, "--users", "20", "--rate", "20"];
    let outcome = bench(&args, &[&LITTLE[..], &["--assert", "rps>=100000000"]].concat());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("does not hold: rps>=100000000"), "{outcome:?}");
}

#[test]
fn the_highest_rate_under_a_p99_is_searched_for() {
    let stack = with_users(20);
    let http = stack.http();
    let args = ["run", "profile-hot", "--url", &http, "--users", "20", "--rate", "max"];
    let outcome = bench(&args, &[&LITTLE[..], &["--p99-under", "20ms"]].concat());
    assert!(outcome.stderr.contains("p99"), "{outcome:?}");
    assert!(outcome.stdout.contains("all, from when due"), "{outcome:?}");
}

#[test]
fn a_scenario_of_first_times_refuses_to_count_a_second_one() {
    let stack = with_users(20);
    let http = stack.http();
    let args = ["run", "login-cold", "--url", &http, "--users", "20", "--rate", "100"];
    let outcome = bench(&args, &LITTLE);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("more --users"), "{outcome:?}");
    assert!(!outcome.stdout.contains("answers/s"), "no figure is shown: {outcome:?}");
}

#[test]
fn ctrl_c_shows_what_was_measured_until_then() {
    let stack = with_users(20);
    let http = stack.http();
    let args = ["bench", "run", "profile-hot", "--url", &http, "--users", "20", "--warm-up", "0s"];
    let load = ["--connections", "4", "--rate", "50", "--duration", "10m"];
    let mut child = souk_command(&[&args[..], &load].concat()).spawn().expect("started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let seen = lines.any(|line| line.is_ok_and(|line| line.contains("measuring")));
    assert!(seen, "progress is shown");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("an id")).expect("an id");
    kill_process(pid, Signal::INT).expect("ours");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("ended early") && text.contains("answers/s"), "{text}");
}

#[test]
fn who_refuses_or_talks_nonsense_is_counted_and_ends_nothing() {
    // Nobody listens on a port that was free a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{gone}");
    let args = ["run", "profile-hot", "--url", &url, "--rate", "20"];
    let outcome = bench(&args, &LITTLE);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("refused"), "{outcome:?}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sent =
                stream.and_then(|mut stream| stream.write_all(b"220 mail.example ESMTP\r\n"));
            drop(sent);
        }
    });
    let args = ["run", "profile-hot", "--url", &url, "--rate", "20"];
    let outcome = bench(&args, &LITTLE);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("malformed") || outcome.stdout.contains("reset"),
        "{outcome:?}"
    );
}

#[test]
fn bad_flags_are_refused_with_what_would_be_right() {
    for (args, word) in [
        (vec!["run", "profil"], "profile-hot"),
        (vec!["run", "me", "--url", "https://x"], "TLS"),
        (vec!["run", "me", "--assert", "p98<5ms"], "p99.9"),
        (vec!["run", "me", "--rate", "0"], "above 0"),
        (vec!["run", "me", "--users", "5"], "--users"),
        (vec!["run", "herd", "--rate", "5"], "--rate"),
        (vec!["run", "me", "--duration", "5d"], "unit"),
        (vec!["compare", "me", "--against", "none"], "--against"),
        (vec!["compare", "me", "--with", "/nowhere"], "/nowhere"),
    ] {
        let outcome = bench(&args, &[]);
        assert_ne!(outcome.code, Some(0), "{args:?}");
        assert!(outcome.stderr.contains(word), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn souk_takes_turns_with_nginx_the_baseline_epoll_and_another_build() {
    let home = PrivateDir::new().expect("a directory");
    let runs = home.path().join("runs.jsonl").to_string_lossy().into_owned();
    let ours = env!("CARGO_BIN_EXE_souk");
    let args = ["compare", "profile-hot", "--users", "20", "--rounds", "2", "--out", &runs];
    let whom = ["--against", "nginx,baseline,epoll", "--with", ours];
    let outcome = bench(&args, &[&whom[..], &LITTLE].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = fs::read_to_string(&runs).expect("kept");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let all = ["nginx", "baseline", "souk-epoll", "souk-with", "souk"];
    assert_eq!(records.len(), 2 * all.len());
    for (record, name) in records.iter().zip(all.iter().cycle()) {
        assert_eq!(record["target"], *name, "all take turns");
        assert!(record["figures"]["answered"].as_u64() > Some(0), "{record}");
        assert!(outcome.stdout.contains(name), "{name}: {}", outcome.stdout);
    }

    let folder = home.path().to_string_lossy();
    let table = bench(&["table", "--results", &folder], &[]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert_eq!(table.stdout.lines().count(), 3, "{}", table.stdout);
    assert!(table.stdout.contains("| profile-hot | 20 |"), "{}", table.stdout);
}
