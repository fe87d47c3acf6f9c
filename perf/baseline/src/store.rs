//! Rows in MySQL, cached aside in Redis; sessions in Redis.

use crate::routes::Problem;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::{Row as _, query};

/// A query for users: the columns that everyone sees, and more if need be.
macro_rules! users {
    ($rest:literal) => {
        users!("", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT id, username, nickname, picture, rating, version, ",
            "CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED) AS created_at_ms",
            $more,
            " FROM users ",
            $rest
        )
    };
}

/// How long a row stays in Redis, seconds: as long as Souk keeps it.
const ROW_TTL_S: u64 = 300;
/// How long a session lasts, seconds: as long as Souk's.
pub const SESSION_TTL_S: u64 = 2_592_000;

/// A user as it is cached.
#[derive(Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub username: String,
    pub nickname: String,
    pub picture: String,
    pub rating: i32,
    pub version: u64,
    pub created_at_ms: i64,
}

/// Both stores.
pub struct Store {
    mysql: MySqlPool,
    redis: ConnectionManager,
    cached: bool,
}

impl Store {
    /// Connects to both.
    pub async fn open(
        mysql: &str,
        redis: &str,
        connections: u32,
        cached: bool,
    ) -> Result<Store, Box<dyn std::error::Error>> {
        let mysql = MySqlPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .test_before_acquire(false)
            .connect(mysql)
            .await?;
        let redis = redis::Client::open(redis)?.get_connection_manager().await?;
        Ok(Store { mysql, redis, cached })
    }

    /// The user with this name.
    pub async fn by_name(&self, name: &str) -> Result<Option<User>, Problem> {
        let key = format!("name:{}", name.to_ascii_lowercase());
        if self.cached {
            let found: Option<Vec<u8>> = self.redis.clone().get(&key).await?;
            if let Some(user) = found.and_then(|found| serde_json::from_slice(&found).ok()) {
                return Ok(Some(user));
            }
        }
        let row =
            query(users!("WHERE username = ?")).bind(name).fetch_optional(&self.mysql).await?;
        self.keep(row, &key).await
    }

    /// The user with this id.
    pub async fn by_id(&self, id: u64) -> Result<Option<User>, Problem> {
        let row = query(users!("WHERE id = ?")).bind(id).fetch_optional(&self.mysql).await?;
        self.keep(row, &format!("id:{id}")).await
    }

    /// The user of a session: session and cached row in one round trip.
    pub async fn by_session(&self, token: &str) -> Result<Option<User>, Problem> {
        let id = token.split_once('.').and_then(|(id, _)| id.parse::<u64>().ok());
        let Some(id) = id else { return Ok(None) };
        let mut pipe = redis::pipe();
        pipe.get(format!("session:{token}"));
        if self.cached {
            pipe.get(format!("id:{id}"));
        }
        let found: Vec<Option<Vec<u8>>> = pipe.query_async(&mut self.redis.clone()).await?;
        let mut found = found.into_iter();
        if found.next().flatten().is_none() {
            return Ok(None);
        }
        let cached = found.next().flatten();
        match cached.and_then(|cached| serde_json::from_slice(&cached).ok()) {
            Some(user) => Ok(Some(user)),
            None => self.by_id(id).await,
        }
    }

    /// Opens a session and returns its token.
    pub async fn open_session(&self, user: &User) -> Result<String, Problem> {
        let mut secret = [0u8; 24];
        getrandom::fill(&mut secret).map_err(|_| Problem::Internal)?;
        let secret = data_encoding::BASE64URL_NOPAD.encode(&secret);
        let token = format!("{}.{secret}", user.id);
        let key = format!("session:{token}");
        let _: () = self.redis.clone().set_ex(key, user.id, SESSION_TTL_S).await?;
        Ok(token)
    }

    /// User and password hash, for a login.
    pub async fn credentials(&self, name: &str) -> Result<Option<(User, String)>, Problem> {
        let row = query(users!(", password_hash", "WHERE username = ?"))
            .bind(name)
            .fetch_optional(&self.mysql)
            .await?;
        row.map(|row| Ok((user(&row)?, row.try_get("password_hash")?))).transpose()
    }

    /// Adds a user; none if the name is taken.
    pub async fn add(
        &self,
        name: &str,
        nickname: &str,
        phc: &str,
    ) -> Result<Option<User>, Problem> {
        let added = query(
            "INSERT INTO users (username, nickname, password_hash, created_at, updated_at) \
             VALUES (?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))",
        )
        .bind(name)
        .bind(nickname)
        .bind(phc)
        .execute(&self.mysql)
        .await;
        match added {
            Ok(done) => self.by_id(done.last_insert_id()).await,
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the nickname and forgets what was cached of the user.
    pub async fn rename(&self, old: &User, nickname: &str) -> Result<Option<User>, Problem> {
        query(
            "UPDATE users SET nickname = ?, version = version + 1, \
             updated_at = UTC_TIMESTAMP(3) WHERE id = ?",
        )
        .bind(nickname)
        .bind(old.id)
        .execute(&self.mysql)
        .await?;
        if self.cached {
            let keys =
                [format!("id:{}", old.id), format!("name:{}", old.username.to_ascii_lowercase())];
            let _: () = self.redis.clone().del(&keys[..]).await?;
        }
        self.by_id(old.id).await
    }

    /// A page of users whose names begin with `prefix`.
    pub async fn search(&self, prefix: &str, limit: u32) -> Result<Vec<User>, Problem> {
        let rows = query(users!("WHERE username >= ? AND username < ? ORDER BY username LIMIT ?"))
            .bind(prefix)
            .bind(format!("{prefix}~"))
            .bind(limit)
            .fetch_all(&self.mysql)
            .await?;
        rows.iter().map(|row| user(row).map_err(Problem::from)).collect()
    }

    /// Caches a row that was read.
    async fn keep(&self, row: Option<MySqlRow>, key: &str) -> Result<Option<User>, Problem> {
        let Some(row) = row else { return Ok(None) };
        let user = user(&row)?;
        if self.cached {
            let bytes = serde_json::to_vec(&user).map_err(|_| Problem::Internal)?;
            let _: () = self.redis.clone().set_ex(key, bytes, ROW_TTL_S).await?;
        }
        Ok(Some(user))
    }
}

fn user(row: &MySqlRow) -> Result<User, sqlx::Error> {
    Ok(User {
        id: row.try_get("id")?,
        username: row.try_get("username")?,
        nickname: row.try_get("nickname")?,
        picture: row.try_get("picture")?,
        rating: row.try_get("rating")?,
        version: row.try_get("version")?,
        created_at_ms: row.try_get("created_at_ms")?,
    })
}
