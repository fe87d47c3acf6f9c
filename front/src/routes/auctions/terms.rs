//! What sellers and bidders send, read strictly: ranges here, what hangs on the auction or on the
//! time in the daemon.

use crate::routes::input::{Fields, Value, missing, wrong_type};
use crate::routes::limits::{BID_ID_MAX, MONEY_MAX, STEPS_MAX};
use jiff::Timestamp;
use souk_proto::Failure;
use souk_proto::auctions::{CreateAuctionRequest, EditAuctionRequest, Offer, SoftClose, Step};
use souk_proto::common::Caller;

/// Reads the fields of a new auction, and that there are no others.
pub fn create(caller: Caller, mut fields: Fields) -> Result<CreateAuctionRequest, Failure> {
    let request = CreateAuctionRequest {
        caller: Some(caller),
        title: fields.text("title")?,
        description: fields.text_if("description")?.unwrap_or_default(),
        currency: fields.text("currency")?,
        start_price: money(&mut fields, "start_price")?.ok_or_else(|| missing("start_price"))?,
        increments: increments(&mut fields)?.ok_or_else(|| missing("increment"))?,
        reserve: money_or_null(&mut fields, "reserve")?.flatten(),
        buy_now: money_or_null(&mut fields, "buy_now")?.flatten(),
        start_at_ms: time(&mut fields, "start_at")?.unwrap_or(0),
        end_at_ms: time(&mut fields, "end_at")?.ok_or_else(|| missing("end_at"))?,
        soft_close: soft_close(&mut fields)?.flatten(),
    };
    fields.finish()?;
    Ok(request)
}

/// Reads the fields that change of an auction, and that there are no others.
pub fn edit(
    caller: Caller,
    auction_id: u64,
    if_version: Option<u64>,
    mut fields: Fields,
) -> Result<EditAuctionRequest, Failure> {
    let request = EditAuctionRequest {
        caller: Some(caller),
        auction_id,
        if_version,
        title: fields.text_if("title")?,
        description: fields.text_if("description")?,
        currency: fields.text_if("currency")?,
        start_price: money(&mut fields, "start_price")?,
        increments: increments(&mut fields)?.unwrap_or_default(),
        // On the link 0 takes it away.
        reserve: money_or_null(&mut fields, "reserve")?.map(Option::unwrap_or_default),
        buy_now: money_or_null(&mut fields, "buy_now")?.map(Option::unwrap_or_default),
        start_at_ms: time(&mut fields, "start_at")?,
        end_at_ms: time(&mut fields, "end_at")?,
        soft_close: soft_close(&mut fields)?.map(Option::unwrap_or_default),
    };
    fields.finish()?;
    Ok(request)
}

/// Reads the fields of a bid, and that there are no others.
pub fn offer(mut fields: Fields) -> Result<Offer, Failure> {
    let offer = Offer {
        amount: money(&mut fields, "amount")?.ok_or_else(|| missing("amount"))?,
        max_amount: money(&mut fields, "max_amount")?.unwrap_or(0),
        bid_id: fields.text_if("bid_id")?.map(bid_id).transpose()?.unwrap_or_default(),
        currency: fields.text_if("currency")?.map(currency).transpose()?.unwrap_or_default(),
    };
    fields.finish()?;
    if offer.max_amount != 0 && offer.max_amount < offer.amount {
        return Err(Failure::field("max_amount", "The maximum is at least the amount."));
    }
    Ok(offer)
}

fn bid_id(text: String) -> Result<String, Failure> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=BID_ID_MAX).contains(&text.len()) {
        return Ok(text);
    }
    let detail = format!("A bid_id has 1 to {BID_ID_MAX} visible ASCII characters.");
    Err(Failure::field("bid_id", detail))
}

/// On the link an empty currency is none, so one that came must not be empty.
fn currency(text: String) -> Result<String, Failure> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text);
    }
    Err(Failure::field("currency", "A currency has three capital letters (ISO 4217)."))
}

fn money(fields: &mut Fields, name: &str) -> Result<Option<i64>, Failure> {
    fields.take(name).map(|value| amount(name, value, 1)).transpose()
}

/// Money, or null for none.
fn money_or_null(fields: &mut Fields, name: &str) -> Result<Option<Option<i64>>, Failure> {
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => amount(name, value, 1).map(|amount| Some(Some(amount))),
    }
}

fn amount(name: &str, value: Value, least: i64) -> Result<i64, Failure> {
    let Value::Number(number) = value else {
        return Err(wrong_type(name, "a whole number of minor units", &value));
    };
    if number.is_f64() {
        return Err(Failure::field(name, "Give money as a whole number of minor units."));
    }
    number.as_i64().filter(|amount| (least..=MONEY_MAX).contains(amount)).ok_or_else(|| {
        Failure::field(name, format!("This can be {least} to {MONEY_MAX}, in minor units."))
    })
}

/// A number for all prices, or a table by price.
fn increments(fields: &mut Fields) -> Result<Option<Vec<Step>>, Failure> {
    const NAME: &str = "increment";
    match fields.take(NAME) {
        None => Ok(None),
        Some(Value::Array(rows)) if (1..=STEPS_MAX).contains(&rows.len()) => {
            let steps: Result<Vec<Step>, Failure> = rows.into_iter().map(row).collect();
            let steps = steps?;
            let rising = steps.windows(2).all(|pair| pair[0].from < pair[1].from);
            if rising && steps[0].from == 0 {
                return Ok(Some(steps));
            }
            Err(Failure::field(NAME, "The first row is from 0, each further one from more."))
        }
        Some(Value::Array(_)) => {
            Err(Failure::field(NAME, format!("The table can have 1 to {STEPS_MAX} rows.")))
        }
        Some(value @ Value::Number(_)) => {
            Ok(Some(vec![Step { from: 0, step: amount(NAME, value, 1)? }]))
        }
        Some(other) => Err(wrong_type(NAME, "a whole number or a list", &other)),
    }
}

fn row(value: Value) -> Result<Step, Failure> {
    // The rows have no names; their trouble is that of the table.
    let within = |failure: Failure| Failure {
        detail: match &*failure.field {
            "increment" => failure.detail,
            field => format!("In a row, {field}: {}", failure.detail),
        },
        field: "increment".to_owned(),
        ..failure
    };
    let read = || {
        let mut fields = Fields::of("increment", value)?;
        let from = fields.take("from").ok_or_else(|| missing("from"))?;
        let from = amount("from", from, 0)?;
        let step = money(&mut fields, "step")?.ok_or_else(|| missing("step"))?;
        fields.finish()?;
        Ok(Step { from, step })
    };
    read().map_err(within)
}

/// Null for a fixed end.
fn soft_close(fields: &mut Fields) -> Result<Option<Option<SoftClose>>, Failure> {
    const NAME: &str = "soft_close";
    let value = match fields.take(NAME) {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(None)),
        Some(value) => value,
    };
    let mut fields = Fields::of(NAME, value)?;
    let mut count = |name: &str| {
        let number = fields.number_if(name)?.ok_or_else(|| missing(name))?;
        let count = u32::try_from(number).ok().filter(|count| *count > 0);
        count.ok_or_else(|| Failure::field(name, "This number is out of range."))
    };
    let (window_s, extensions) = (count("window_s")?, count("extensions")?);
    fields.finish()?;
    Ok(Some(Some(SoftClose { window_s, extensions })))
}

/// A time in RFC 3339 as Unix milliseconds.
fn time(fields: &mut Fields, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = fields.text_if(name)? else { return Ok(None) };
    // On the link 0 is no time, and nothing here is that old.
    let time = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond).filter(|ms| *ms > 0);
    let wrong = || {
        Failure::field(name, "Give a time as in 2026-11-21T09:30:00Z (RFC 3339, with its offset).")
    };
    time.map(Some).ok_or_else(wrong)
}
