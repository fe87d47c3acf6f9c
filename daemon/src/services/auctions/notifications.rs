//! What users are told.

use crate::context::Context;
use crate::limiter::Class;
use crate::limits::{NOTIFICATIONS_DEFAULT, NOTIFICATIONS_MAX};
use crate::services::accounts::caller::visitor;
use crate::services::store_failure;
use souk_db::auctions::{NotificationKind as Kind, NotificationRow};
use souk_proto::Failure;
use souk_proto::auctions::{
    ListNotificationsRequest, Notification, NotificationKind, NotificationPage,
    ReadNotificationsRequest,
};
use souk_proto::common::Empty;
use std::time::Instant;

/// The caller's notifications, the newest first.
///
/// # Errors
/// `invalid_field`, `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn list_notifications(
    cx: &Context,
    request: ListNotificationsRequest,
    deadline: Instant,
) -> Result<NotificationPage, Failure> {
    let visitor = visitor(cx, Class::Read, request.caller.as_ref(), deadline).await?;
    let limit = match request.limit {
        0 => NOTIFICATIONS_DEFAULT,
        limit @ 1..=NOTIFICATIONS_MAX => limit,
        _ => return Err(Failure::field("limit", "A page has 1 to 100 notifications.")),
    };
    let auctions = &cx.stores.auctions;
    let read = auctions.notifications(visitor.user_id, request.before, limit, deadline).await;
    let (rows, unread) = read.map_err(store_failure)?;
    Ok(NotificationPage { items: rows.into_iter().map(shown).collect(), unread })
}

/// Takes note that the caller has read some.
///
/// # Errors
/// `unauthenticated`, `rate_limited`, or a store's failure.
pub async fn read_notifications(
    cx: &Context,
    request: ReadNotificationsRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let visitor = visitor(cx, Class::Write, request.caller.as_ref(), deadline).await?;
    let auctions = &cx.stores.auctions;
    let read = auctions.read_notifications(visitor.user_id, request.up_to, deadline).await;
    read.map_err(store_failure)?;
    Ok(Empty {})
}

fn shown(row: NotificationRow) -> Notification {
    let kind = match row.kind {
        Kind::Won => NotificationKind::Won,
        Kind::SoldOut => NotificationKind::SoldOut,
        Kind::NotSold => NotificationKind::NotSold,
    };
    Notification {
        id: row.id,
        kind: kind.into(),
        auction_id: row.auction_id,
        title: row.title,
        currency: row.currency,
        price: row.price,
        at_ms: row.at_ms,
        read: row.is_read,
    }
}
