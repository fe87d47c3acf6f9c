//! What is read of boards: pages, neighbours, ranks, the distribution, and the list of seasons.

use super::{board, user_id};
use crate::http::Response;
use crate::leaderboard::json::{self as board_json, RankJson};
use crate::leaderboard::{Known, PageCache};
use crate::routes::answer::Call;
use crate::routes::json::{self, Time, names_tag};
use crate::routes::limits::{BOARD_PAGE_DEFAULT, BOARD_PAGE_MAX, RADIUS_DEFAULT, RADIUS_MAX};
use crate::routes::query::{Query, count};
use bytes::Bytes;
use serde::Serialize;
use souk_proto::common::Caller;
use souk_proto::leaderboard::{
    Distribution, GetDistributionRequest, GetNeighboursRequest, GetPageRequest, GetRankRequest,
    ListSeasonsRequest, Page, Rank, Season, SeasonList,
};
use souk_proto::{Failure, Method};

/// `GET /api/v1/leaderboard?limit=&cursor=&direction=next|previous&season=`
pub async fn page(call: &Call<'_>) -> Result<Response, Failure> {
    let wanted = wanted_page(call.head.query(), call.caller())?;
    let pages = &call.app.pages;
    // Any shard knows the first page; deeper ones are the database's work anyway.
    let known = first(&wanted).and_then(|limit| pages.get(wanted.board, limit));
    let request = GetPageRequest { seen: known.as_ref().map_or(0, |known| known.tag), ..wanted };
    let page: Page = call.ask(Method::GetPage, pages.next_key(), &request).await?;
    let (tag, stale_ms) = (page.tag, page.stale_ms);
    let body = match known.filter(|known| page.unchanged && known.tag == tag) {
        Some(known) => known.body,
        None => encode(pages, &request, &page),
    };
    Ok(page_answer(call.head.header_str("if-none-match"), tag, body, stale_ms))
}

/// What a query asks for.
fn wanted_page(query: Option<&str>, caller: Caller) -> Result<GetPageRequest, Failure> {
    let query = Query::read(query)?;
    let cursor = query.get("cursor")?.unwrap_or_default().to_owned();
    let backwards = match query.get("direction")? {
        None | Some("next") => false,
        Some("previous") if !cursor.is_empty() => true,
        Some("previous") => {
            let detail = "Give the previous_cursor of a page to go back from.";
            return Err(Failure::field("cursor", detail));
        }
        Some(_) => {
            return Err(Failure::field("direction", "The direction can be next or previous."));
        }
    };
    let limit = count(&query, "limit", BOARD_PAGE_DEFAULT, BOARD_PAGE_MAX)?;
    let board = board(&query)?;
    Ok(GetPageRequest { caller: Some(caller), board, limit, cursor, backwards, seen: 0 })
}

/// How many lines the first page has that this asks for, if it asks for a first page.
fn first(request: &GetPageRequest) -> Option<u32> {
    request.cursor.is_empty().then_some(request.limit)
}

fn encode(pages: &PageCache, request: &GetPageRequest, page: &Page) -> Bytes {
    let body = Bytes::from(board_json::page(page));
    if let Some(limit) = first(request)
        && page.tag != 0
    {
        pages.put(request.board, limit, Known { tag: page.tag, body: body.clone() });
    }
    body
}

fn page_answer(if_none_match: Option<&str>, tag: u64, body: Bytes, stale_ms: u64) -> Response {
    if stale_ms > 0 {
        return Response::new(200)
            .with("application/json", board_json::with_age(&body, stale_ms))
            .header("cache-control", "no-store")
            .header("age", stale_ms.div_ceil(1000))
            .header("warning", "110 - \"Response is Stale\"");
    }
    let etag = format!("\"{tag:016x}\"");
    let response = match if_none_match {
        Some(known) if names_tag(known, &etag) => Response::new(304),
        _ => Response::new(200).with("application/json", body),
    };
    response.header("etag", etag).header("cache-control", "no-cache")
}

/// `GET /api/v1/leaderboard/around/{user_id}?radius=&season=`
pub async fn around(call: &Call<'_>, parameter: &str) -> Result<Response, Failure> {
    let user_id = user_id(parameter)?;
    let query = Query::read(call.head.query())?;
    let radius = count(&query, "radius", RADIUS_DEFAULT, RADIUS_MAX)?;
    let (caller, board) = (Some(call.caller()), board(&query)?);
    let request = GetNeighboursRequest { caller, board, user_id, radius };
    let found: Page = call.ask(Method::GetNeighbours, user_id, &request).await?;
    let body = board_json::page(&found);
    Ok(Response::new(200).with("application/json", body).header("cache-control", "no-cache"))
}

/// `GET /api/v1/users/{id}/rank?season=`
pub async fn rank(call: &Call<'_>, parameter: &str) -> Result<Response, Failure> {
    let user_id = user_id(parameter)?;
    let board = board(&Query::read(call.head.query())?)?;
    let request = GetRankRequest { caller: Some(call.caller()), board, user_id };
    let rank: Rank = call.ask(Method::GetRank, user_id, &request).await?;
    Ok(json::answer(200, &RankJson::new(&rank)).header("cache-control", "no-cache"))
}

#[derive(Serialize)]
struct BucketJson {
    from: i32,
    to: i32,
    players: u64,
}

#[derive(Serialize)]
struct DistributionJson {
    total: u64,
    buckets: Vec<BucketJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<i32>,
}

/// `GET /api/v1/leaderboard/distribution?percentile=&season=`
pub async fn distribution(call: &Call<'_>) -> Result<Response, Failure> {
    let query = Query::read(call.head.query())?;
    let percentile = percentile(query.get("percentile")?)?;
    let board = board(&query)?;
    let request = GetDistributionRequest { caller: Some(call.caller()), board, percentile };
    let key = call.app.pages.next_key();
    let found: Distribution = call.ask(Method::GetDistribution, key, &request).await?;
    let bucket = |it: &souk_proto::leaderboard::Bucket| BucketJson {
        from: it.from,
        to: it.to,
        players: it.players,
    };
    let buckets = found.buckets.iter().map(bucket).collect();
    let body = DistributionJson { total: found.total, buckets, rating: found.rating };
    Ok(json::answer(200, &body).header("cache-control", "no-cache"))
}

/// A share in per cent: digits, perhaps with decimals.
fn percentile(text: Option<&str>) -> Result<Option<f64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse::<f64>() {
        Ok(share) if plain && (0.0..=100.0).contains(&share) => Ok(Some(share)),
        _ => Err(Failure::field("percentile", "The percentile can be 0 to 100.")),
    }
}

#[derive(Serialize)]
struct SeasonJson<'a> {
    id: u64,
    name: &'a str,
    starts_at: Time,
    ends_at: Option<Time>,
}

impl SeasonJson<'_> {
    fn new(season: &Season) -> SeasonJson<'_> {
        SeasonJson {
            id: season.id,
            name: &season.name,
            starts_at: Time(season.starts_at_ms),
            ends_at: (season.ends_at_ms != 0).then_some(Time(season.ends_at_ms)),
        }
    }
}

/// `GET /api/v1/seasons`
pub async fn seasons(call: &Call<'_>) -> Result<Response, Failure> {
    let request = ListSeasonsRequest { caller: Some(call.caller()) };
    let key = call.app.pages.next_key();
    let list: SeasonList = call.ask(Method::ListSeasons, key, &request).await?;
    let items = list.items.iter().map(SeasonJson::new).collect();
    let body = json::List { items, next_cursor: None };
    Ok(json::answer(200, &body).header("cache-control", "no-cache"))
}

#[cfg(test)]
mod tests {
    use super::{SeasonJson, page_answer, percentile, wanted_page};
    use crate::http::Body;
    use crate::routes::json::parsed;
    use bytes::Bytes;
    use serde_json::json;
    use souk_proto::common::Caller;
    use souk_proto::leaderboard::Season;

    #[test]
    fn a_page_is_the_first_of_all_time_unless_asked_otherwise() {
        let read = |raw| wanted_page(Some(raw), Caller::default());
        let all = read("").expect("valid");
        assert_eq!((all.board, all.limit, all.backwards, all.seen), (0, 100, false, 0));
        let deep = read("limit=5&cursor=abc&direction=previous&season=3").expect("valid");
        assert_eq!((deep.board, deep.limit, deep.backwards), (3, 5, true));
        assert_eq!(deep.cursor, "abc");
        for (bad, field) in [
            ("direction=previous", "cursor"),
            ("direction=up&cursor=a", "direction"),
            ("direction=", "direction"),
            ("limit=501", "limit"),
            ("cursor=a&cursor=b", "cursor"),
            ("season=x", "season"),
        ] {
            assert_eq!(read(bad).expect_err(bad).field, field, "{bad}");
        }
    }

    #[test]
    fn a_page_has_a_tag_and_a_stale_one_its_age() {
        let body = Bytes::from_static(b"{\"items\":[],\"total\":0}");
        let fresh = page_answer(None, 7, body.clone(), 0);
        assert_eq!(fresh.headers.get("etag"), Some("\"0000000000000007\""));
        assert!(matches!(&fresh.body, Body::Shared(bytes) if bytes.as_ptr() == body.as_ptr()));
        let known = page_answer(Some("W/\"0000000000000007\""), 7, body.clone(), 0);
        assert_eq!((known.status, known.body.length()), (304, 0));
        assert_eq!(page_answer(Some("\"7\""), 7, body.clone(), 0).status, 200);
        let stale = page_answer(Some("\"0000000000000007\""), 7, body, 1_500);
        assert_eq!(stale.status, 200);
        assert_eq!(stale.headers.get("age"), Some("2"));
        assert_eq!(stale.headers.get("warning"), Some("110 - \"Response is Stale\""));
        assert_eq!(stale.headers.get("etag"), None);
        assert_eq!(parsed(&stale), json!({"items": [], "total": 0, "stale_ms": 1500}));
    }

    #[test]
    fn a_percentile_is_0_to_100() {
        assert_eq!(percentile(None), Ok(None));
        for (text, share) in [("0", 0.0), ("50", 50.0), ("99.5", 99.5), ("100", 100.0)] {
            assert_eq!(percentile(Some(text)), Ok(Some(share)));
        }
        for bad in ["", "-1", "100.1", "1e1", "nan", "inf", "+5", "5%", "1.2.3"] {
            assert_eq!(percentile(Some(bad)).expect_err(bad).field, "percentile");
        }
    }

    #[test]
    fn an_open_season_has_no_end() {
        let season = Season { id: 1, name: "Spring".into(), starts_at_ms: 1_000, ends_at_ms: 0 };
        let shown = |season: &Season| serde_json::to_value(SeasonJson::new(season)).expect("JSON");
        let open = shown(&season);
        assert_eq!(open["starts_at"], "1970-01-01T00:00:01.000Z");
        assert_eq!(open["ends_at"], json!(null));
        let ended = shown(&Season { ends_at_ms: 2_000, ..season });
        assert_eq!(ended["ends_at"], "1970-01-01T00:00:02.000Z");
    }
}
