//! The heat map: time runs to the right, latency upwards, and the glyph says how many.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

/// Bands of latency: each ends at twice the time at which it begins, the first at 1 µs.
pub const BANDS: usize = 27;

/// Where the first band begins, nanoseconds.
const FIRST_NS: u64 = 1_000;

/// How many requests fell into each band.
pub type Column = [u32; BANDS];

/// The column of one interval.
pub fn column(times: &Histogram<u64>) -> Column {
    let mut column = [0u32; BANDS];
    for value in times.iter_recorded() {
        let count = u32::try_from(value.count_since_last_iteration()).unwrap_or(u32::MAX);
        let band = &mut column[band(value.value_iterated_to())];
        *band = band.saturating_add(count);
    }
    column
}

fn band(ns: u64) -> usize {
    let doublings = (ns / FIRST_NS).max(1).ilog2() as usize;
    doublings.min(BANDS - 1)
}

/// Where a band begins, nanoseconds.
fn begin_of(band: usize) -> u64 {
    FIRST_NS << band
}

/// A part of the map, as tall and wide as there is room.
#[derive(Debug, PartialEq)]
pub struct Map {
    /// From the slowest down: where the row begins, nanoseconds, and a heat for each column, from
    /// 0 (nothing) to 1 (as much as anywhere on the map).
    pub rows: Vec<(u64, Vec<f64>)>,
}

/// The newest `width` columns in at most `height` rows, as fine as fits.
pub fn map(columns: &VecDeque<Column>, width: usize, height: usize) -> Map {
    let skip = columns.len().saturating_sub(width);
    let shown: Vec<&Column> = columns.iter().skip(skip).collect();
    let busy = |band: &usize| shown.iter().any(|column| column[*band] > 0);
    let (Some(low), Some(high)) = ((0..BANDS).find(busy), (0..BANDS).rev().find(busy)) else {
        return Map { rows: Vec::new() };
    };
    if height == 0 {
        return Map { rows: Vec::new() };
    }
    let bands_a_row = (high - low + 1).div_ceil(height);
    let count = |column: &Column, begin: usize| -> f64 {
        let end = (begin + bands_a_row).min(BANDS);
        column[begin..end].iter().map(|count| f64::from(*count)).sum()
    };
    let begins: Vec<usize> = (low..=high).step_by(bands_a_row).collect();
    let most = begins
        .iter()
        .flat_map(|begin| shown.iter().map(|column| count(column, *begin)))
        .fold(1.0, f64::max);
    let row = |begin: &usize| {
        // Logarithmic: a handful of slow requests among thousands must be seen.
        let heat = |column: &&Column| (1.0 + count(column, *begin)).ln() / (1.0 + most).ln();
        (begin_of(*begin), shown.iter().map(heat).collect())
    };
    Map { rows: begins.iter().rev().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::stages::tests::times;

    #[test]
    fn every_time_falls_into_the_band_that_holds_it() {
        assert_eq!([1_000, 1_999, 2_000, 1_000_000].map(band), [0, 0, 1, 9]);
        assert_eq!([0, 60_000_000_000, u64::MAX].map(band), [0, 25, BANDS - 1]);
        let column = column(&times(&[5_000, 5_100, 30_000_000_000]));
        assert_eq!(column.iter().sum::<u32>(), 3);
        assert_eq!(column[2], 2);
    }

    #[test]
    fn the_map_shows_the_newest_columns_and_its_slowest_row_is_on_top() {
        let mut columns = VecDeque::from([column(&times(&[40_000_000_000]))]);
        columns.push_back(column(&times(&[5_000; 100])));
        columns.push_back(column(&times(&[9_000])));
        let map = map(&columns, 2, 10);
        let begins: Vec<u64> = map.rows.iter().map(|(begin, _)| *begin).collect();
        // The slowest request has left on the left.
        assert_eq!(begins, [8_000, 4_000]);
        let (fast, slow) = (&map.rows[1].1, &map.rows[0].1);
        assert_eq!((fast[0], fast[1], slow[0]), (1.0, 0.0, 0.0));
        // One of a hundred is still visible.
        assert!(slow[1] > 0.1, "{slow:?}");
    }

    #[test]
    fn bands_share_rows_when_there_is_little_room() {
        let columns = VecDeque::from([column(&times(&[1_000, 60_000_000_000]))]);
        for height in 1..40 {
            let map = map(&columns, 9, height);
            assert!(map.rows.len() <= height, "{height}: {}", map.rows.len());
            let heat: f64 = map.rows.iter().flat_map(|(_, heat)| heat).sum();
            assert!(heat > 0.0);
        }
        assert_eq!(map(&columns, 9, 0).rows.len(), 0);
        assert_eq!(map(&VecDeque::new(), 9, 9).rows.len(), 0);
    }
}
