//! Accounts: who people are, their logins, profiles and pictures.

pub(super) mod caller;
mod login;
mod password;
pub(super) mod picture;
mod profile;
mod register;
mod search;
mod sessions;

pub use login::{login, logout};
pub use password::{change_password, delete_me};
pub use picture::{drop_picture, get_picture, set_picture};
pub use profile::{edit_me, get_me, get_user, get_user_by_name};
pub use register::create_user;
pub use search::search_users;
pub use sessions::{list_sessions, revoke_other_sessions, revoke_session};

use souk_db::UserRow;
use souk_proto::accounts::User;

/// The row as clients may see it.
fn user(row: UserRow) -> User {
    User {
        id: row.id,
        username: row.username,
        nickname: row.nickname,
        picture: row.picture,
        rating: row.rating,
        version: row.version,
        created_at_ms: row.created_at_ms,
    }
}
