//! From a request to its answer: what every route has in common, and the way to its handler.

use super::accounts::{account, login, picture, profile, sessions, users};
use super::table::{Action, Found};
use super::{Request, RequestBody, auctions, caller, cors, leaderboard, pages, problem, ready};
use crate::app::App;
use crate::config::HttpSettings;
use crate::http::{Head, Response};
use crate::upstream::CallContext;
use problem::Problem;
use prost::Message;
use souk_proto::common::Caller;
use souk_proto::{Failure, Method};
use souk_trace::Context;
use std::net::IpAddr;
use std::time::Duration;

/// A request besides its body, with the means to answer it.
pub(super) struct Call<'a> {
    pub app: &'a App,
    pub head: &'a Head,
    pub trace: Context,
    peer: IpAddr,
}

impl Call<'_> {
    pub fn http(&self) -> &HttpSettings {
        &self.app.settings.http
    }

    /// Who asks.
    pub fn caller(&self) -> Caller {
        caller::caller(self.head, self.peer, self.http())
    }

    /// Who asks, for requests that a password goes with.
    pub fn caller_with_device(&self) -> Caller {
        caller::with_device(self.caller(), self.head, self.http())
    }

    /// Who asks, and the id of the user that they have to be logged in as.
    pub fn user(&self) -> Result<(Caller, u64), Failure> {
        let caller = self.caller();
        let id = caller::known_user(&caller)?;
        Ok((caller, id))
    }

    /// Asks the shard that owns `key`.
    pub async fn ask<Q, A>(&self, method: Method, key: u64, request: &Q) -> Result<A, Failure>
    where
        Q: Message,
        A: Message + Default,
    {
        let context = self.context(self.app.settings.timeouts.request());
        self.app.upstream.call(method, key, request, context).await
    }

    /// What goes with a call that may take so long.
    pub fn context(&self, time: Duration) -> CallContext {
        CallContext { deadline: souk_meter::recent() + time, trace: self.trace }
    }
}

/// Answers a request.
pub(super) async fn handle(app: &App, found: Found, request: Request) -> Response {
    let Request { head, body, peer, trace } = request;
    let call = Call { app, head: &head, trace, peer };
    let mut response = match dispatch(&call, found, body).await {
        Ok(response) => response,
        Err(failure) => problem::answer(&Problem::from(&failure), trace.trace_id),
    };
    cors::allow(&mut response, head.header_str("origin"), &call.http().cors_origins);
    response
}

/// Calls the route's handler. All but the most frequent are boxed: a request for a user does not
/// take the room of an upload, and less is moved.
async fn dispatch(call: &Call<'_>, found: Found, body: RequestBody) -> Result<Response, Failure> {
    if !call.head.method.is_safe() {
        caller::check_origin(call.head, call.http())?;
    }
    let Found { action, media, parameter, allow, .. } = found;
    match action {
        Action::GetUserByName => users::by_name(call, parameter).await,
        Action::GetUser => users::by_id(call, &parameter).await,
        Action::GetMe => account::get(call).await,
        Action::SearchUsers => Box::pin(users::search(call)).await,
        Action::Login => Box::pin(login::api(call, media, body)).await,
        Action::CreateUser => Box::pin(account::create(call, media, body)).await,
        Action::Logout => Box::pin(login::logout(call)).await,
        Action::EditMe => Box::pin(profile::edit_api(call, media, body)).await,
        Action::DeleteMe => Box::pin(account::delete(call, media, body)).await,
        Action::ChangePassword => Box::pin(account::change_password(call, media, body)).await,
        Action::SetPicture => Box::pin(picture::set(call, media, body)).await,
        Action::DropPicture => Box::pin(picture::drop(call)).await,
        Action::GetPicture => Box::pin(picture::get(call, &parameter)).await,
        Action::ListSessions => Box::pin(sessions::list(call)).await,
        Action::RevokeSession => Box::pin(sessions::revoke(call, parameter)).await,
        Action::RevokeOtherSessions => Box::pin(sessions::revoke_others(call)).await,
        Action::RegisterForm => Box::pin(account::register_form(call, media, body)).await,
        Action::LoginForm => Box::pin(login::form(call, media, body)).await,
        Action::ProfileForm => Box::pin(profile::form(call, media, body)).await,
        Action::Board(board) => {
            Box::pin(leaderboard::answer(call, board, &parameter, (media, body))).await
        }
        Action::Auction(auction) => {
            Box::pin(auctions::answer(call, auction, &parameter, (media, body))).await
        }
        Action::Profile => Box::pin(profile::page(call)).await,
        Action::Page(name) => pages::answer(call.head, name),
        Action::Asset => pages::answer(call.head, &format!("assets/{parameter}")),
        Action::OpenApi => pages::answer(call.head, "openapi.json"),
        Action::Health => Ok(ready::health()),
        Action::Ready => Ok(Box::pin(ready::ready(call)).await),
        Action::Options => {
            let origin = call.head.header_str("origin");
            Ok(cors::preflight(allow, origin, &call.http().cors_origins))
        }
    }
}
