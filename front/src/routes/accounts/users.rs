//! Public profiles: by id, by name, and searched.

use crate::http::Response;
use crate::routes::answer::Call;
use crate::routes::json::{self, Eyes};
use crate::routes::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::routes::query::Query;
use crate::upstream::key_of;
use souk_proto::accounts::{
    GetUserByNameRequest, GetUserRequest, SearchUsersRequest, User, UserPage,
};
use souk_proto::{Code, Failure, Method};

/// `GET /api/v1/users/by-name/{username}`
pub async fn by_name(call: &Call<'_>, username: String) -> Result<Response, Failure> {
    let key = key_of(&username);
    let request = GetUserByNameRequest { caller: Some(call.caller()), username };
    let user: User = call.ask(Method::GetUserByName, key, &request).await?;
    Ok(json::user_unless_known(call.head, &user, Eyes::Public))
}

/// `GET /api/v1/users/{id}`
pub async fn by_id(call: &Call<'_>, id: &str) -> Result<Response, Failure> {
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| digits);
    let id = id.ok_or_else(|| Failure::new(Code::UserNotFound))?;
    let request = GetUserRequest { caller: Some(call.caller()), id };
    let user: User = call.ask(Method::GetUser, id, &request).await?;
    Ok(json::user_unless_known(call.head, &user, Eyes::Public))
}

/// `GET /api/v1/users/search?username=&limit=&cursor=`
pub async fn search(call: &Call<'_>) -> Result<Response, Failure> {
    let query = Query::read(call.head.query())?;
    let prefix = query.get("username")?.unwrap_or_default().to_owned();
    if prefix.is_empty() {
        return Err(Failure::field("username", "Say how the usernames looked for begin."));
    }
    let request = SearchUsersRequest {
        caller: Some(call.caller()),
        limit: limit(query.get("limit")?)?,
        cursor: query.get("cursor")?.unwrap_or_default().to_owned(),
        prefix,
    };
    let key = key_of(&request.prefix);
    let page: UserPage = call.ask(Method::SearchUsers, key, &request).await?;
    Ok(json::users(&page))
}

fn limit(text: Option<&str>) -> Result<u32, Failure> {
    let Some(text) = text else {
        return Ok(PAGE_DEFAULT);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(limit @ 1..=PAGE_MAX) if digits => Ok(limit),
        _ => Err(Failure::field("limit", format!("The limit can be 1 to {PAGE_MAX}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn a_page_has_1_to_100_users() {
        assert_eq!(limit(None), Ok(20));
        assert_eq!(limit(Some("1")), Ok(1));
        assert_eq!(limit(Some("100")), Ok(100));
        for bad in ["", "0", "101", "-1", "+5", "5.0", "x", "99999999999"] {
            assert_eq!(limit(Some(bad)).expect_err(bad).field, "limit");
        }
    }
}
