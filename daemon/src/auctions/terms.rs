//! What a seller may ask for, and what to tell who asks for something else.

use super::money::{amount, currency};
use crate::identity::names::is_invisible_control;
use crate::limits::{
    AUCTION_AHEAD_MAX_MS, AUCTION_LATE_MAX_MS, AUCTION_LENGTH_MAX_MS, AUCTION_LENGTH_MIN_MS,
    DESCRIPTION_CHARS_MAX, EXTENSIONS_MAX, SOFT_WINDOW_MAX_S, TITLE_CHARS_MAX,
};
use souk_db::auctions::rules::Step as StepRow;
use souk_db::auctions::{STEPS_MAX, Terms};
use souk_proto::Failure;
use souk_proto::auctions::{CreateAuctionRequest, EditAuctionRequest, SoftClose, Step};

/// The terms of a new auction.
///
/// # Errors
/// `invalid_field` for the first thing that no auction can have.
pub fn new(request: CreateAuctionRequest, now_ms: i64) -> Result<Terms, Failure> {
    let (soft_window_ms, extensions_max) = match request.soft_close {
        Some(soft_close) => soft(soft_close)?,
        None => (0, 0),
    };
    let terms = Terms {
        title: title(&request.title)?,
        description: description(request.description)?,
        currency: currency(&request.currency)?.to_owned(),
        start_price: amount("start_price", request.start_price)?,
        increments: increments(&request.increments)?,
        reserve: request.reserve.map(|it| amount("reserve", it)).transpose()?,
        buy_now: request.buy_now.map(|it| amount("buy_now", it)).transpose()?,
        start_at_ms: start(request.start_at_ms, now_ms)?,
        end_at_ms: request.end_at_ms,
        soft_window_ms,
        extensions_max,
    };
    prices(&terms)?;
    length(&terms, now_ms)?;
    Ok(terms)
}

/// The terms of an auction after an edit.
///
/// # Errors
/// As [`new`].
pub fn edited(old: &Terms, request: EditAuctionRequest, now_ms: i64) -> Result<Terms, Failure> {
    let mut terms = old.clone();
    if let Some(text) = request.title {
        terms.title = title(&text)?;
    }
    if let Some(text) = request.description {
        terms.description = description(text)?;
    }
    if let Some(code) = request.currency {
        currency(&code)?.clone_into(&mut terms.currency);
    }
    if let Some(price) = request.start_price {
        terms.start_price = amount("start_price", price)?;
    }
    if !request.increments.is_empty() {
        terms.increments = increments(&request.increments)?;
    }
    if let Some(price) = request.reserve {
        terms.reserve = optional("reserve", price)?;
    }
    if let Some(price) = request.buy_now {
        terms.buy_now = optional("buy_now", price)?;
    }
    if let Some(soft_close) = request.soft_close {
        let taken_away = soft_close.window_s == 0;
        (terms.soft_window_ms, terms.extensions_max) =
            if taken_away { (0, 0) } else { soft(soft_close)? };
    }
    if let Some(at_ms) = request.start_at_ms {
        terms.start_at_ms = start(at_ms, now_ms)?;
    }
    let moves = request.start_at_ms.is_some() || request.end_at_ms.is_some();
    if let Some(at_ms) = request.end_at_ms {
        terms.end_at_ms = at_ms;
    }
    prices(&terms)?;
    // What an outage added to an end is not held against who edits the title.
    if moves {
        length(&terms, now_ms)?;
    }
    Ok(terms)
}

fn title(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > TITLE_CHARS_MAX {
        let why = format!("Titles have 1 to 120 characters; this one has {length}.");
        return Err(Failure::field("title", why));
    }
    if text.chars().any(is_invisible_control) {
        let why = "Titles cannot hold line breaks, control or text direction characters.";
        return Err(Failure::field("title", why));
    }
    Ok(text.to_owned())
}

fn description(text: String) -> Result<String, Failure> {
    let length = text.chars().count();
    if length > DESCRIPTION_CHARS_MAX {
        let why = format!("Descriptions have up to 4000 characters; this one has {length}.");
        return Err(Failure::field("description", why));
    }
    let is_layout = |c| matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(|c| is_invisible_control(c) && !is_layout(c)) {
        let why = "Descriptions cannot hold control or text direction characters.";
        return Err(Failure::field("description", why));
    }
    Ok(text)
}

fn increments(steps: &[Step]) -> Result<Vec<StepRow>, Failure> {
    let refused = |why| Err(Failure::field("increment", why));
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return refused("An increment is a number, or a table of 1 to 16 steps.");
    }
    if steps[0].from != 0 || !steps.is_sorted_by(|a, b| a.from < b.from) {
        return refused("The table's first step is from 0, each other from a higher price.");
    }
    let row = |step: &Step| {
        // That nothing is from 0 on is said above; from there on prices are amounts.
        amount("increment", step.from.max(1))?;
        Ok(StepRow { from: step.from, step: amount("increment", step.step)? })
    };
    steps.iter().map(row).collect()
}

fn optional(field: &str, price: i64) -> Result<Option<i64>, Failure> {
    (price != 0).then(|| amount(field, price)).transpose()
}

fn soft(soft_close: SoftClose) -> Result<(i64, u32), Failure> {
    let SoftClose { window_s, extensions } = soft_close;
    if !(1..=SOFT_WINDOW_MAX_S).contains(&window_s) || !(1..=EXTENSIONS_MAX).contains(&extensions) {
        let why = "A soft close has a window of 1 to 3600 seconds and 1 to 1000 extensions.";
        return Err(Failure::field("soft_close", why));
    }
    Ok((i64::from(window_s) * 1_000, extensions))
}

/// When an auction starts that is to start then. What has just passed is now: nothing can be said
/// of the time before.
fn start(at_ms: i64, now_ms: i64) -> Result<i64, Failure> {
    if at_ms == 0 {
        return Ok(now_ms);
    }
    if at_ms < now_ms.saturating_sub(AUCTION_LATE_MAX_MS) {
        return Err(Failure::field("start_at", "The start is more than an hour ago."));
    }
    if at_ms > now_ms.saturating_add(AUCTION_AHEAD_MAX_MS) {
        return Err(Failure::field("start_at", "The start is more than a year ahead."));
    }
    Ok(at_ms.max(now_ms))
}

fn prices(terms: &Terms) -> Result<(), Failure> {
    if terms.reserve.is_some_and(|reserve| reserve < terms.start_price) {
        return Err(Failure::field("reserve", "The reserve is below the start price."));
    }
    let Some(buy_now) = terms.buy_now else { return Ok(()) };
    if buy_now <= terms.start_price {
        return Err(Failure::field("buy_now", "The price to buy now is above the start price."));
    }
    if terms.reserve.is_some_and(|reserve| buy_now < reserve) {
        return Err(Failure::field("buy_now", "The price to buy now is below the reserve."));
    }
    Ok(())
}

fn length(terms: &Terms, now_ms: i64) -> Result<(), Failure> {
    let range = AUCTION_LENGTH_MIN_MS..=AUCTION_LENGTH_MAX_MS;
    if !range.contains(&terms.end_at_ms.saturating_sub(terms.start_at_ms)) {
        let why = "An auction ends 1 second to 90 days after its start.";
        return Err(Failure::field("end_at", why));
    }
    if terms.end_at_ms <= now_ms {
        return Err(Failure::field("end_at", "The end has passed."));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
