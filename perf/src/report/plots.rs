//! What a run looks like.

use super::chart::{Axis, Chart};
use super::{NEVER, escape, milliseconds, thousands};
use crate::engine::Slot;
use crate::run::{CPU_SLICE, Outcome};
use crate::stages::Stage;
use hdrhistogram::Histogram;
use std::fmt::Write;

/// Colours of lines, in the order they are given out.
const COLOURS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Columns of a plot over time: more than these cannot be told apart.
const COLUMNS: usize = 100;

/// Rows of the heat map for each power of ten.
const ROWS_A_TEN: f64 = 8.0;

/// Percentiles with names, by how many nines.
const NINES: [(f64, &str); 6] =
    [(0.0, "0"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "5 nines")];

/// Latency against percentile, the tail drawn out.
pub fn percentiles(outcome: &Outcome) -> String {
    let due = outcome.measured.latency_of_all();
    let sent = outcome.measured.service_time_of_all();
    let low = us(due.min().min(sent.min()).max(1000));
    let high = us(due.max().max(sent.max()).max(10_000));
    let count = due.len().max(10);
    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
    let nines = (count as f64).log10().clamp(1.0, 5.0);
    let mut chart =
        Chart::new("Latency by percentile", Axis::even(0.0, nines), Axis::powers(low, high));
    let marks = NINES.iter().filter(|(at, _)| *at <= nines);
    chart.columns(&marks.map(|(at, name)| (*at, (*name).to_owned())).collect::<Vec<_>>(), "");
    chart.rows(&times(Axis::powers(low, high)));
    chart.line(&curve(&sent, nines), "b");
    chart.line(&curve(&due, nines), "a");
    let note = "The slowest answers are to the right.";
    chart.figure("Latency by percentile", note, &[("a", "from when due"), ("b", "from when sent")])
}

fn curve(times: &Histogram<u64>, nines: f64) -> Vec<(f64, f64)> {
    if times.is_empty() {
        return Vec::new();
    }
    let steps = 100;
    let at = |step: i32| {
        let x = nines * f64::from(step) / f64::from(steps);
        (x, us(times.value_at_quantile(1.0 - 10f64.powf(-x))))
    };
    (0..=steps).map(at).collect()
}

/// Latency over time: how many answers took how long, when.
pub fn heat(outcome: &Outcome) -> String {
    let columns = columns(outcome);
    let all = outcome.measured.latency_of_all();
    let (low, high) = (us(all.min().max(1000)), us(all.max().max(10_000)));
    let seconds = outcome.measured.elapsed.as_secs_f64();
    let mut chart = Chart::new(
        "Latency over time as a heat map",
        Axis::even(0.0, seconds),
        Axis::powers(low, high),
    );
    let rows: Vec<Vec<(i32, u64)>> = columns.iter().map(|slot| cells(&slot.latency)).collect();
    let most = rows.iter().flatten().map(|(_, count)| *count).max().unwrap_or(1);
    let width = seconds / rows.len().max(1) as f64;
    for (index, row) in rows.iter().enumerate() {
        for (cell, count) in row {
            let edge = |cell: i32| 10f64.powf(f64::from(cell) / ROWS_A_TEN);
            #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
            let strength = 0.12 + 0.88 * (1.0 + *count as f64).ln() / (1.0 + most as f64).ln();
            let left = width * index as f64;
            chart.cell((left, edge(*cell)), (left + width, edge(cell + 1)), strength);
        }
    }
    chart.rows(&times(Axis::powers(low, high)));
    chart.columns(&clock(seconds), "seconds");
    chart.figure("Latency over time", "Darker: more answers took so long then.", &[])
}

/// The cells of a column that have answers: the power of ten in rows, and how many.
fn cells(times: &Histogram<u32>) -> Vec<(i32, u64)> {
    let mut cells: Vec<(i32, u64)> = Vec::new();
    for value in times.iter_recorded() {
        let at = us(value.value_iterated_to()).log10() * ROWS_A_TEN;
        #[allow(clippy::cast_possible_truncation)] // a minute is below 10^8 µs
        let cell = at.floor() as i32;
        let count = u64::from(value.count_at_value());
        match cells.last_mut() {
            Some((last, sum)) if *last == cell => *sum += count,
            _ => cells.push((cell, count)),
        }
    }
    cells
}

/// Answers and errors a second over time.
pub fn throughput(outcome: &Outcome) -> String {
    let columns = columns(outcome);
    let seconds = outcome.measured.elapsed.as_secs_f64();
    let width = seconds / columns.len().max(1) as f64;
    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
    let series = |count: fn(&Slot) -> u64| -> Vec<(f64, f64)> {
        let rate = |(i, slot): (usize, &Slot)| {
            ((i as f64 + 0.5) * width, count(slot) as f64 / width.max(1e-9))
        };
        columns.iter().enumerate().map(rate).collect()
    };
    let answered = series(|slot| slot.answered);
    let errors = series(|slot| slot.errors);
    let most = answered.iter().chain(&errors).map(|(_, rate)| *rate).fold(1.0, f64::max);
    let y = Axis::even(0.0, most * 1.05);
    let mut chart = Chart::new("Answers a second over time", Axis::even(0.0, seconds), y);
    chart.rows(&y.steps().into_iter().map(|n| (n, short(n))).collect::<Vec<_>>());
    chart.columns(&clock(seconds), "seconds");
    chart.line(&answered, "a");
    let mut key = vec![("a", "answers")];
    if errors.iter().any(|(_, rate)| *rate > 0.0) {
        chart.line(&errors, "bad");
        key.push(("bad", "errors"));
    }
    chart.figure("Throughput over time", "Answers a second.", &key)
}

/// CPU of each program over time.
pub fn cpu(outcome: &Outcome) -> String {
    if outcome.cpu.iter().all(|(_, shares)| shares.is_empty()) {
        return String::new();
    }
    let seconds = outcome.measured.elapsed.as_secs_f64();
    let all = outcome.cpu.iter().flat_map(|(_, shares)| shares);
    let most = all.copied().fold(0.1, f64::max) * 100.0;
    let y = Axis::even(0.0, most * 1.05);
    let mut chart = Chart::new("CPU of each program over time", Axis::even(0.0, seconds), y);
    chart.rows(&y.steps().into_iter().map(|n| (n, format!("{n:.0} %"))).collect::<Vec<_>>());
    chart.columns(&clock(seconds), "seconds");
    let mut key = Vec::new();
    for ((role, shares), colour) in outcome.cpu.iter().zip(COLOURS.iter().cycle()) {
        let at = |i: usize| (i as f64 + 0.5) * CPU_SLICE.as_secs_f64();
        let points: Vec<_> = shares.iter().enumerate().map(|(i, s)| (at(i), s * 100.0)).collect();
        chart.line(&points, colour);
        key.push((*colour, role.as_str()));
    }
    chart.figure("CPU over time", "100 % is one core.", &key)
}

/// Where the time went inside the programs.
pub fn stages(outcome: &Outcome) -> String {
    if outcome.stages.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section><h2>Where the time goes</h2><div class=\"wide\"><table><thead><tr><th>stage\
         <th>times<th>mean<th>p50<th>p99<th>max<th>share of all</tr></thead><tbody>",
    );
    let mut last = String::new();
    for stage in &outcome.stages {
        let route = format!("{}: {}", stage.program, stage.route);
        if route != last {
            write!(html, "<tr><th colspan=\"7\">{}", escape(&route)).expect(NEVER);
            last = route;
        }
        let h = &stage.times;
        write!(html, "<tr><th scope=\"row\">{}<td>{}", escape(&stage.stage), h.len()).expect(NEVER);
        let at = |quantile| us(h.value_at_quantile(quantile));
        for time in [h.mean() / 1e3, at(0.5), at(0.99), us(h.max())] {
            write!(html, "<td>{}", milliseconds(time)).expect(NEVER);
        }
        let share = 100.0 * share_of_total(stage, &outcome.stages);
        write!(html, "<td class=\"bar\"><span style=\"width:{share:.1}%\"></span>").expect(NEVER);
    }
    html.push_str("</tbody></table></div></section>\n");
    html
}

/// The part of its route's whole time that a stage takes, 0 to 1.
fn share_of_total(stage: &Stage, all: &[Stage]) -> f64 {
    #[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
    let sum = |stage: &Stage| stage.times.mean() * stage.times.len() as f64;
    let whole = all.iter().find(|other| {
        other.stage == "total" && other.program == stage.program && other.route == stage.route
    });
    let whole = whole.map_or_else(|| sum(stage), sum);
    if whole > 0.0 { (sum(stage) / whole).clamp(0.0, 1.0) } else { 0.0 }
}

/// The timeline in few enough columns.
fn columns(outcome: &Outcome) -> Vec<Slot> {
    let slots = &outcome.measured.timeline;
    let size = slots.len().div_ceil(COLUMNS).max(1);
    let sum = |part: &[Slot]| {
        let mut sum = Slot::default();
        part.iter().for_each(|slot| sum.add(slot));
        sum
    };
    slots.chunks(size).map(sum).collect()
}

fn clock(seconds: f64) -> Vec<(f64, String)> {
    let steps = Axis::even(0.0, seconds).steps();
    let text = |n: f64| if seconds < 4.0 { format!("{n:.1}") } else { format!("{n:.0}") };
    steps.into_iter().map(|n| (n, text(n))).collect()
}

fn times(axis: Axis) -> Vec<(f64, String)> {
    let text = |us: f64| match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    };
    axis.tens().into_iter().map(|us| (us, text(us))).collect()
}

fn short(number: f64) -> String {
    if number >= 10_000.0 { format!("{:.0}k", number / 1e3) } else { thousands_or_zero(number) }
}

fn thousands_or_zero(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { thousands(number) }
}

/// Microseconds of a time in nanoseconds.
fn us(nanoseconds: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // a minute at most
    let us = nanoseconds as f64 / 1e3;
    us
}
