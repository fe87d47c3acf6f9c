//! Pictures at several sizes, from models made of readings.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::top::model::Round;
use crate::top::model::tests::{admin, answer};

/// The lines of the picture at this size, without spaces at their ends.
fn lines(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

const FRONT: &str = "\
    souk_requests_total{route=\"GET /api/v1/me\",code=\"200\"} 90\n\
    souk_requests_total{route=\"GET /api/v1/me\",code=\"404\"} 9\n\
    souk_requests_total{route=\"GET /api/v1/me\",code=\"503\"} 1\n\
    souk_request_bytes_total{route=\"GET /api/v1/me\"} 20000\n\
    souk_response_bytes_total{route=\"GET /api/v1/me\"} 3000000\n\
    souk_process_cpu_seconds_total{mode=\"user\"} 0.4\n\
    souk_open_connections 1000\n\
    souk_process_resident_memory_bytes 50000000\n\
    souk_process_open_fds 1010\n\
    souk_process_max_fds 65536\n\
    souk_batch_size_count{store=\"link\"} 10\n\
    souk_batch_size_sum{store=\"link\"} 125\n";

const DAEMON: &str = "\
    souk_requests_total{route=\"GetMe\",code=\"ok\"} 100\n\
    souk_cache_reads_total{layer=\"redis\",outcome=\"hit\"} 95\n\
    souk_cache_reads_total{layer=\"redis\",outcome=\"miss\"} 5\n\
    souk_memo_lookups_total{outcome=\"hit\"} 1\n\
    souk_memo_lookups_total{outcome=\"miss\"} 3\n\
    souk_batch_size_count{store=\"mysql_read\"} 2\n\
    souk_batch_size_sum{store=\"mysql_read\"} 5\n\
    souk_queue_depth{queue=\"argon2\"} 4\n\
    souk_queue_full_total{queue=\"argon2\"} 2\n\
    souk_store_up{store=\"mysql\"} 1\n\
    souk_store_up{store=\"redis\"} 0\n\
    souk_replica_lag_seconds 1.5\n\
    souk_loop_lag_seconds_bucket{le=\"0.001\"} 99\n\
    souk_loop_lag_seconds_bucket{le=\"+Inf\"} 100\n\
    souk_links 1\n";

/// A front and a daemon that served a hundred requests in the last second.
fn busy() -> Model {
    let mut model = Model::default();
    let mut times = vec![1_200_000; 98];
    times.extend([30_000_000, 400_000_000]);
    let round = |at_s, front, daemon| Round {
        at_s,
        answers: vec![(admin("front"), Ok(front)), (admin("soukd"), Ok(daemon))],
    };
    let idle = |program| answer(program, 1, &[], "");
    model.apply(round(0.0, idle("souk-front"), idle("soukd")));
    model.apply(round(
        1.0,
        answer("souk-front", 1, &times, FRONT),
        answer("soukd", 1, &[900_000; 100], DAEMON),
    ));
    model
}

fn has(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

#[test]
fn eighty_by_twenty_four_shows_every_part() {
    let lines = lines(&busy(), 80, 24);
    let text = lines.join("\n");
    for part in [
        "souk-front 0.1.0, soukd 0.1.0",
        "100/s  errors 1.0 %  refused (4xx) 9.0 %  in 20.0 kB/s  out 3.00 MB/s",
        "p50 1.20 ms",
        "p99 30.0 ms",
        "max 400 ms",
        "  per s  errors     p50     p99     max",
        "GET /api/v1/me                               100   1.0 % 1.20 ms 30.0 ms  400 ms",
        "redis 95.0 %",
        "logins 25.0 %",
        "link 12.5  mysql read 2.5",
        "argon2 FULL, 2.0/s refused",
        "mysql up  redis DOWN",
        "replica 1.5 s behind",
        "40 % CPU  4.00 ms a request",
        "connections 1,000  50.0 MB",
        "files 1,010 of 65,536",
        "links 1",
        "lag under 1.00 ms",
        "latency over time",
        "█",
        "·",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn every_size_is_drawn_and_the_most_important_lines_stay_longest() {
    let model = busy();
    for width in [0, 1, 2, 7, 8, 9, 10, 11, 20, 40, 71, 72, 80, 200, 600] {
        for height in [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 24, 50, 200] {
            let lines = lines(&model, width, height);
            if width >= 20 && height >= 1 {
                assert!(has(&lines, "souk top"), "{width}x{height}");
            }
            if width >= 20 && height >= 2 {
                assert!(has(&lines, "100/s"), "{width}x{height}");
            }
            if width >= 40 && height >= 8 {
                assert!(has(&lines, "GET /api"), "{width}x{height}: {lines:#?}");
            }
        }
    }
    assert!(has(&lines(&model, 200, 50), "█"));
}

#[test]
fn before_the_second_reading_it_says_what_it_waits_for() {
    let mut model = Model::default();
    let front = Ok(answer("souk-front", 1, &[5_000], ""));
    model.apply(Round { at_s: 0.0, answers: vec![(admin("front"), front)] });
    let lines = lines(&model, 80, 24);
    assert!(has(&lines, "souk-front 0.1.0") && has(&lines, "measuring"), "{lines:?}");
}

#[test]
fn an_idle_souk_shows_dashes_and_no_heat() {
    let mut model = Model::default();
    for at_s in [0.0, 1.0] {
        let front = Ok(answer("souk-front", 1, &[5_000], ""));
        model.apply(Round { at_s, answers: vec![(admin("front"), front)] });
    }
    let lines = lines(&model, 80, 24);
    assert!(has(&lines, "0/s  errors -"), "{lines:#?}");
    assert!(has(&lines, "p50 -") && has(&lines, "no request yet"), "{lines:#?}");
}

#[test]
fn whoever_does_not_answer_is_named_in_red_and_many_leave_room_for_the_rest() {
    let mut model = busy();
    let gone = |name: &str| (admin(name), Err(format!("{name}: connection refused")));
    model.apply(Round { at_s: 2.0, answers: vec![gone("soukd")] });
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &model)).expect("drawn");
    let buffer = terminal.backend().buffer();
    assert_eq!(buffer[(0, 1)].fg, Color::Red);
    let lines = lines(&model, 80, 24);
    assert_eq!(lines[1], "soukd does not answer: soukd: connection refused");
    assert!(lines[0].contains("nobody answers"), "{lines:#?}");
    let names: Vec<String> = (0..60).map(|number| format!("soukd-{number}")).collect();
    model.apply(Round { at_s: 3.0, answers: names.iter().map(|name| gone(name)).collect() });
    let lines = self::lines(&model, 80, 24);
    assert!(has(&lines, "and 53 more do not answer") && has(&lines, "0/s"), "{lines:#?}");
}
