//! What changes ratings: one, many, and matches.

use super::user_id;
use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::input::Fields;
use crate::routes::limits::{EVENT_ID_MAX, RATINGS_MAX};
use crate::routes::problem::{self, Problem};
use crate::routes::{RequestBody, accounts, json};
use serde::{Serialize, Serializer};
use souk_proto::leaderboard::rating_change::Change;
use souk_proto::leaderboard::rating_outcome::Outcome;
use souk_proto::leaderboard::{
    MatchDone, RatingChange, RatingDone, RatingOutcomes, RecordMatchRequest, SetRatingRequest,
    SetRatingsRequest,
};
use souk_proto::{Code, Failure, Method};

/// `PUT /api/v1/users/{id}/rating`: `{rating}` or `{delta}`, perhaps `{event_id}`
pub async fn set(call: &Call<'_>, parameter: &str, fields: Fields) -> Result<Response, Failure> {
    let user_id = user_id(parameter)?;
    let request =
        SetRatingRequest { caller: Some(call.caller()), change: Some(change(user_id, fields)?) };
    let done: RatingDone = call.ask(Method::SetRating, user_id, &request).await?;
    Ok(json::answer(200, &DoneJson::new(&done)).header("cache-control", "no-store"))
}

/// Reads the fields that say how a rating changes, and that there are no others.
fn change(user_id: u64, mut fields: Fields) -> Result<RatingChange, Failure> {
    let (rating, delta) = (fields.integer_if("rating")?, fields.integer_if("delta")?);
    let event_id = fields.text_if("event_id")?.map(event_id).transpose()?.unwrap_or_default();
    fields.finish()?;
    let change = match (rating, delta) {
        (Some(rating), None) => Change::Rating(rating),
        (None, Some(delta)) => Change::Delta(delta),
        (None, None) => {
            return Err(Failure::field("rating", "Give the new rating, or a delta."));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::field("delta", "Give a rating or a delta, not both."));
        }
    };
    Ok(RatingChange { user_id, event_id, change: Some(change) })
}

fn event_id(text: String) -> Result<String, Failure> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=EVENT_ID_MAX).contains(&text.len()) {
        return Ok(text);
    }
    let detail = format!("An event_id has 1 to {EVENT_ID_MAX} visible ASCII characters.");
    Err(Failure::field("event_id", detail))
}

/// `POST /api/v1/ratings`: `{items: [{user_id, rating or delta, event_id?}]}`
///
/// Each item is answered alone: one that is not valid keeps none of the others back.
pub async fn set_many(call: &Call<'_>, body: RequestBody) -> Result<Response, Failure> {
    let items = match body {
        RequestBody::Full(bytes) => Fields::list(&bytes, "items")?,
        _ => Fields::list(&[], "items")?,
    };
    if !(1..=RATINGS_MAX).contains(&items.len()) {
        return Err(Failure::field("items", format!("Send 1 to {RATINGS_MAX} items.")));
    }
    let items: Vec<Result<RatingChange, Failure>> = items.into_iter().map(item).collect();
    let sent: Vec<RatingChange> = items.iter().filter_map(|item| item.clone().ok()).collect();
    let outcomes = match sent.first().map(|first| first.user_id) {
        None => RatingOutcomes::default(),
        Some(key) => {
            let request = SetRatingsRequest { caller: Some(call.caller()), items: sent };
            call.ask(Method::SetRatings, key, &request).await?
        }
    };
    let body = json::List { items: merge(items, outcomes)?, next_cursor: None };
    Ok(json::answer(200, &body).header("cache-control", "no-store"))
}

fn item(fields: Fields) -> Result<RatingChange, Failure> {
    let mut fields = fields.checked()?;
    let missing = || Failure::field("user_id", "This field is missing.");
    let user_id = fields.number_if("user_id")?.ok_or_else(missing)?;
    change(user_id, fields)
}

/// The outcomes in the order of the request: those of the daemon between those that were refused
/// here.
fn merge(
    items: Vec<Result<RatingChange, Failure>>,
    outcomes: RatingOutcomes,
) -> Result<Vec<OutcomeJson>, Failure> {
    let mut answered = outcomes.items.into_iter();
    let mut next = |item| match item {
        Err(failure) => Ok(OutcomeJson::Failed(failure)),
        Ok(_) => {
            let outcome = accounts::present(answered.next().and_then(|item| item.outcome))?;
            Ok(match outcome {
                Outcome::Done(done) => OutcomeJson::Done(DoneJson::new(&done)),
                Outcome::Failed(error) => OutcomeJson::Failed(error.into()),
            })
        }
    };
    items.into_iter().map(&mut next).collect()
}

/// `POST /api/v1/matches`: `{event_id, winner, loser, draw?}`
pub async fn record_match(call: &Call<'_>, mut fields: Fields) -> Result<Response, Failure> {
    let event_id = event_id(fields.text("event_id")?)?;
    let mut player = |name: &str| {
        let missing = || Failure::field(name, "This field is missing.");
        fields.number_if(name)?.ok_or_else(missing)
    };
    let (winner, loser) = (player("winner")?, player("loser")?);
    let draw = fields.flag_if("draw")?.unwrap_or(false);
    fields.finish()?;
    if winner == loser {
        return Err(Failure::field("loser", "Nobody plays against themselves."));
    }
    let request = RecordMatchRequest { caller: Some(call.caller()), event_id, winner, loser, draw };
    let done: MatchDone = call.ask(Method::RecordMatch, winner, &request).await?;
    let body = MatchJson {
        winner: DoneJson::new(&accounts::present(done.winner)?),
        loser: DoneJson::new(&accounts::present(done.loser)?),
    };
    Ok(json::answer(200, &body).header("cache-control", "no-store"))
}

#[derive(Debug, PartialEq, Serialize)]
struct DoneJson {
    user_id: u64,
    rating: i32,
    before: i32,
    repeated: bool,
}

impl DoneJson {
    fn new(done: &RatingDone) -> DoneJson {
        let RatingDone { user_id, before, rating, repeated } = *done;
        DoneJson { user_id, rating, before, repeated }
    }
}

#[derive(Serialize)]
struct MatchJson {
    winner: DoneJson,
    loser: DoneJson,
}

/// The answer to one item of a batch.
enum OutcomeJson {
    Done(DoneJson),
    Failed(Failure),
}

impl Serialize for OutcomeJson {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ErrorJson<'a> {
            code: &'static str,
            title: &'static str,
            detail: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "str::is_empty")]
            field: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<u32>,
        }
        #[derive(Serialize)]
        struct Failed<'a> {
            error: ErrorJson<'a>,
        }
        match self {
            OutcomeJson::Done(done) => done.serialize(out),
            OutcomeJson::Failed(failure) => {
                let code: Code = failure.code;
                let error = ErrorJson {
                    code: code.name(),
                    title: code.text(),
                    detail: failure.text(),
                    status: problem::status(code),
                    field: &failure.field,
                    retry_after: problem::retry_after_s(&Problem::from(failure)),
                };
                Failed { error }.serialize(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Failure, Fields, OutcomeJson, RatingChange, change, item, merge};
    use crate::routes::table::Media;
    use serde_json::json;
    use souk_proto::Code;
    use souk_proto::leaderboard::rating_outcome::Outcome;
    use souk_proto::leaderboard::{RatingDone, RatingOutcome, RatingOutcomes};

    fn read(body: &str) -> Result<RatingChange, Failure> {
        change(7, Fields::read(Media::Json, body.as_bytes())?)
    }

    #[test]
    fn a_change_is_a_rating_or_a_delta() {
        let wanted = |body: &str| read(body).expect(body).change;
        assert_eq!(wanted(r#"{"rating":1200}"#), Some(Change::Rating(1200)));
        assert_eq!(wanted(r#"{"delta":-15,"event_id":"a!~"}"#), Some(Change::Delta(-15)));
        let long = format!(r#"{{"delta":1,"event_id":"{}"}}"#, "e".repeat(65));
        #[rustfmt::skip]
        let table: &[(&str, &str)] = &[
            ("{}", "rating"),
            (r#"{"rating":1,"delta":1}"#, "delta"),
            (r#"{"rating":1.5}"#, "rating"),
            (r#"{"rating":"1"}"#, "rating"),
            (r#"{"rating":null}"#, "rating"),
            (r#"{"rating":2147483648}"#, "rating"),
            (r#"{"delta":-2147483649}"#, "delta"),
            (r#"{"delta":99999999999999999999}"#, "delta"),
            (r#"{"delta":1,"event_id":""}"#, "event_id"),
            (r#"{"delta":1,"event_id":"a b"}"#, "event_id"),
            (r#"{"delta":1,"event_id":"\u00e4"}"#, "event_id"),
            (r#"{"delta":1,"event_id":7}"#, "event_id"),
            (&long, "event_id"),
            (r#"{"delta":1,"note":"x"}"#, "note"),
        ];
        for (body, field) in table {
            let failure = read(body).expect_err(body);
            assert_eq!((failure.code, &*failure.field), (Code::InvalidField, *field), "{body}");
        }
    }

    #[test]
    fn items_are_answered_in_order_each_alone() {
        let body = br#"{"items":[{"user_id":1,"rating":900},{"rating":1},{"user_id":2,"delta":5},
            {"user_id":3,"delta":5,"delta":6}]}"#;
        let items = Fields::list(body, "items").expect("a list");
        let items: Vec<_> = items.into_iter().map(item).collect();
        let done = RatingDone { user_id: 1, before: 1000, rating: 900, repeated: false };
        let missing = souk_proto::common::Error::from(&Failure::new(Code::UserNotFound));
        let outcomes = [Outcome::Done(done), Outcome::Failed(missing)];
        let outcomes = outcomes.map(|outcome| RatingOutcome { outcome: Some(outcome) });
        let merged = merge(items, RatingOutcomes { items: outcomes.to_vec() }).expect("whole");
        let shown = |outcome: &OutcomeJson| serde_json::to_value(outcome).expect("JSON");
        let shown: Vec<_> = merged.iter().map(shown).collect();
        let first = json!({"user_id": 1, "rating": 900, "before": 1000, "repeated": false});
        assert_eq!(shown[0], first);
        assert_eq!(shown[1]["error"]["code"], "invalid_field");
        assert_eq!(shown[1]["error"]["field"], "user_id");
        assert_eq!(shown[2]["error"]["status"], 404);
        assert_eq!(shown[3]["error"]["field"], "delta");
    }

    #[test]
    fn an_answer_with_too_few_outcomes_is_our_own_fault() {
        let items = vec![read(r#"{"delta":1}"#)];
        let failure = merge(items, RatingOutcomes::default()).err().map(|failure| failure.code);
        assert_eq!(failure, Some(Code::Internal));
    }

    #[test]
    fn a_batch_is_an_object_with_a_list_of_objects() {
        let code = |body: &[u8]| Fields::list(body, "items").expect_err("refused").code;
        for bad in [
            &b""[..],
            b"[]",
            b"{",
            b"{\"items\":[1]}",
            b"{\"items\":[{}]} x",
            b"{\"items\":\"\xff\"}",
        ] {
            assert_eq!(code(bad), Code::MalformedBody);
        }
        for bad in [&b"{}"[..], b"{\"items\":[],\"more\":[]}", b"{\"items\":[],\"items\":[]}"] {
            assert_eq!(code(bad), Code::InvalidField);
        }
        assert_eq!(Fields::list(b"{\"items\":[{},{}]}", "items").expect("a list").len(), 2);
    }
}
