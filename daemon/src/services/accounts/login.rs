//! Login and logout.

use super::caller::{address, admit, admit_session};
use super::user;
use crate::context::Context;
use crate::identity::guesses::Attempt;
use crate::identity::hashing::{Check, Verdict};
use crate::identity::token::{DeviceToken, SessionToken};
use crate::identity::{device, names};
use crate::limiter::{Class, address_key};
use crate::services::store_failure;
use souk_db::{Change, SessionRecord, UserRow};
use souk_meter::Count;
use souk_proto::accounts::{CallerRequest, LoginAnswer, LoginRequest};
use souk_proto::common::{Caller, Empty};
use souk_proto::{Code, Failure};
use std::time::Instant;
use zeroize::Zeroizing;

/// A session that was just opened.
struct NewSession {
    token: SessionToken,
    expires_at_ms: i64,
}

/// Checks a password and opens a session.
///
/// A name that nobody has costs what a wrong password costs and is answered the same.
///
/// # Errors
/// `wrong_credentials`, `too_many_failures`, `rate_limited`, `busy`, or a store's failure.
pub async fn login(
    cx: &Context,
    request: LoginRequest,
    deadline: Instant,
) -> Result<LoginAnswer, Failure> {
    let password = Zeroizing::new(request.password);
    let caller = request.caller.unwrap_or_default();
    admit(cx, Class::Login, Some(&caller))?;
    names::given_password("password", &password)?;
    let name = names::username(&request.username).ok();
    let row = match &name {
        Some(name) => cx.stores.accounts.by_name(name, deadline).await.map_err(store_failure)?,
        None => None,
    };
    let device = known_device(cx, &caller, row.as_ref());
    let attempt = match device {
        Some(device) => Attempt::Device { user_id: device.user_id, nonce: device.nonce },
        None => Attempt::Stranger {
            account: cx.shared.guesses.account(name.as_deref().unwrap_or(&request.username)),
            address: address_key(address(&caller)),
        },
    };
    cx.shared.guesses.check(&attempt, cx.monotonic_ns())?;
    let verified = match row {
        Some(row) if is_remembered(cx, &row, &password) => row,
        // Boxed: a login that is remembered need not carry the room for one that is not.
        row => Box::pin(verify(cx, row, &password, attempt, deadline)).await?,
    };
    let changed = match enter(cx, &verified, &caller, device, deadline).await? {
        Ok(answer) => return Ok(answer),
        Err(changed) => changed,
    };
    // It may be the same password under a new hash. A hash that changes twice meanwhile is not.
    Box::pin(async {
        let verified = verify(cx, changed, &password, attempt, deadline).await?;
        let entered = enter(cx, &verified, &caller, device, deadline).await?;
        entered.map_err(|_| Failure::new(Code::WrongCredentials))
    })
    .await
}

/// Ends the session that the caller came with.
///
/// # Errors
/// `unauthenticated` when the token is not valid; `rate_limited`; a store's failure.
pub async fn logout(
    cx: &Context,
    request: CallerRequest,
    deadline: Instant,
) -> Result<Empty, Failure> {
    let token = admit_session(cx, Class::Write, request.caller.as_ref())?;
    let closed = cx.stores.accounts.close_session(token.user_id, &token.session_id, deadline).await;
    // Whether it was still there makes no difference: it is gone.
    closed.map_err(store_failure).map(|_| Empty {})
}

/// The device that the caller proves to be, if it logged in to this account before.
fn known_device(cx: &Context, caller: &Caller, row: Option<&UserRow>) -> Option<DeviceToken> {
    if caller.device.is_empty() {
        return None;
    }
    let device = cx.shared.tokens.read_device(&caller.device)?;
    (row?.id == device.user_id).then_some(device)
}

fn is_remembered(cx: &Context, row: &UserRow, password: &str) -> bool {
    let now_ns = cx.monotonic_ns();
    let known = cx.memo.borrow_mut().knows(row.id, &row.credential_tag, password, now_ns);
    souk_meter::count(if known { Count::MemoHit } else { Count::MemoMiss });
    known
}

/// Verifies at full cost and gives the row as it is then.
async fn verify(
    cx: &Context,
    row: Option<UserRow>,
    password: &Zeroizing<String>,
    attempt: Attempt,
    deadline: Instant,
) -> Result<UserRow, Failure> {
    let accounts = &cx.stores.accounts;
    // The cache holds no hashes; a row that came from the database has its own.
    let mut row = match row {
        Some(row) if row.password_hash.is_none() => {
            accounts.with_hash_by_id(row.id, deadline).await.map_err(store_failure)?
        }
        row => row,
    };
    let stored = row.as_mut().and_then(|row| row.password_hash.take());
    let check = Check { stored, password: password.clone(), attempt, salt: cx.random()? };
    let verdict = cx.shared.hashing.verify(check, deadline).await?;
    let (Verdict::Right { rehashed }, Some(mut row)) = (verdict, row) else {
        return Err(Failure::new(Code::WrongCredentials));
    };
    if let Some(password_hash) = rehashed {
        let change = Change { password_hash: Some(password_hash), ..Change::default() };
        match accounts.change(row.id, Some(row.version), change, deadline).await {
            Ok(changed) => row = changed,
            // The old hash is still right; the next login tries again.
            Err(error) => tracing::debug!(%error, "a password keeps its old hash"),
        }
    }
    let now_ns = cx.monotonic_ns();
    cx.memo.borrow_mut().remember(row.id, &row.credential_tag, password, now_ns);
    Ok(row)
}

/// Opens a session for the user who was verified, and looks whether that user's password is still
/// the same; if not, gives the row as it is now, and no session is left.
///
/// A change of the password ends the sessions that are there when it is done. This one may come
/// later, on the word of the old password: only a look after its opening tells.
async fn enter(
    cx: &Context,
    verified: &UserRow,
    caller: &Caller,
    device: Option<DeviceToken>,
    deadline: Instant,
) -> Result<Result<LoginAnswer, Option<UserRow>>, Failure> {
    let accounts = &cx.stores.accounts;
    let (session, user) = open_session(cx, verified.id, caller, deadline).await?;
    match user {
        Some(row) if row.credential_tag == verified.credential_tag => {
            answer(cx, row, &session, caller, device).map(Ok)
        }
        changed => {
            let id = &session.token.session_id;
            accounts.close_session(verified.id, id, deadline).await.map_err(store_failure)?;
            Ok(Err(changed))
        }
    }
}

/// Opens a session for this user, and reads the user after that. Until the session's token is given
/// away, nobody can use it.
async fn open_session(
    cx: &Context,
    user_id: u64,
    caller: &Caller,
    deadline: Instant,
) -> Result<(NewSession, Option<UserRow>), Failure> {
    let now_ms = cx.unix_ms();
    let ttl_ms = i64::try_from(cx.session_ttl.as_millis()).unwrap_or(i64::MAX);
    let expires_at_ms = now_ms.saturating_add(ttl_ms);
    let token = SessionToken {
        user_id,
        session_id: cx.random()?,
        issued_s: seconds(now_ms),
        expires_s: seconds(expires_at_ms),
    };
    let record = SessionRecord {
        created_at_ms: now_ms,
        last_seen_ms: now_ms,
        expires_at_ms,
        device: device::name(&caller.agent),
        address: address(caller).map(|ip| ip.to_canonical().to_string()).unwrap_or_default(),
    };
    let accounts = &cx.stores.accounts;
    let opened = accounts.open_session(user_id, &token.session_id, &record, deadline).await;
    let user = opened.map_err(store_failure)?;
    Ok((NewSession { token, expires_at_ms }, user))
}

/// What the client gets who logged in.
fn answer(
    cx: &Context,
    row: UserRow,
    session: &NewSession,
    caller: &Caller,
    device: Option<DeviceToken>,
) -> Result<LoginAnswer, Failure> {
    let device = match device {
        Some(_) => caller.device.clone(),
        None => {
            let device = DeviceToken { user_id: row.id, nonce: cx.random()? };
            cx.shared.tokens.sign_device(&device)
        }
    };
    Ok(LoginAnswer {
        user: Some(user(row)),
        token: cx.shared.tokens.sign_session(&session.token),
        expires_at_ms: session.expires_at_ms,
        device,
    })
}

/// Unix seconds of Unix milliseconds, as far as 2106.
fn seconds(ms: i64) -> u32 {
    u32::try_from(ms / 1_000).unwrap_or(if ms < 0 { 0 } else { u32::MAX })
}
