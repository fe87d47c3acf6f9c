//! What users are told about auctions that are over.

use super::number;
use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::input::{Fields, missing};
use crate::routes::json::{self, Time};
use crate::routes::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::routes::query::{Query, count};
use serde::Serialize;
use souk_proto::auctions::{
    ListNotificationsRequest, Notification, NotificationKind, NotificationPage,
    ReadNotificationsRequest,
};
use souk_proto::common::Empty;
use souk_proto::{Failure, Method};

#[derive(Serialize)]
struct NotificationJson<'a> {
    id: u64,
    kind: &'static str,
    auction_id: u64,
    title: &'a str,
    currency: &'a str,
    /// Null when nothing was sold.
    price: Option<i64>,
    at: Time,
    read: bool,
}

impl NotificationJson<'_> {
    fn new(it: &Notification) -> NotificationJson<'_> {
        NotificationJson {
            id: it.id,
            kind: match it.kind() {
                NotificationKind::Won => "won",
                NotificationKind::SoldOut => "sold",
                NotificationKind::NotSold => "not_sold",
            },
            auction_id: it.auction_id,
            title: &it.title,
            currency: &it.currency,
            price: (it.price != 0).then_some(it.price),
            at: Time(it.at_ms),
            read: it.read,
        }
    }
}

/// `GET /api/v1/notifications?limit=&before=`
pub async fn list(call: &Call<'_>) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Body<'a> {
        items: Vec<NotificationJson<'a>>,
        unread: u32,
    }
    let (caller, user_id) = call.user()?;
    let query = Query::read(call.head.query())?;
    let limit = count(&query, "limit", PAGE_DEFAULT, PAGE_MAX)?;
    let before = number(&query, "before")?.unwrap_or(0);
    let request = ListNotificationsRequest { caller: Some(caller), limit, before };
    let page: NotificationPage = call.ask(Method::ListNotifications, user_id, &request).await?;
    let items = page.items.iter().map(NotificationJson::new).collect();
    let body = Body { items, unread: page.unread };
    Ok(json::answer(200, &body).header("cache-control", "no-store"))
}

/// `POST /api/v1/notifications/read`: `{up_to}`
pub async fn read(call: &Call<'_>, mut fields: Fields) -> Result<Response, Failure> {
    let (caller, user_id) = call.user()?;
    let up_to = fields.number_if("up_to")?.ok_or_else(|| missing("up_to"))?;
    fields.finish()?;
    let request = ReadNotificationsRequest { caller: Some(caller), up_to };
    let Empty {} = call.ask(Method::ReadNotifications, user_id, &request).await?;
    Ok(Response::new(204))
}
