//! Demo auctions: live ones of demo users, with different things, prices and ends.

use std::time::SystemTime;

use data_encoding::HEXLOWER;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use souk_db::auctions::chain::first_head;

use crate::{Failed, limits};

const KINDS: [&str; 12] = [
    "Walnut",
    "Brass",
    "Blue",
    "Hand-made",
    "Antique",
    "Small",
    "Painted",
    "Silver",
    "Woven",
    "Carved",
    "Folding",
    "Glass",
];
const THINGS: [&str; 16] = [
    "lamp",
    "carpet",
    "teapot",
    "chair",
    "clock",
    "mirror",
    "vase",
    "chess set",
    "compass",
    "radio",
    "desk",
    "bowl",
    "lantern",
    "bookcase",
    "telescope",
    "violin",
];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "TRY"];

/// An auction as JSON, in the order of the columns of [`INSERT`].
type Lot = (u64, String, String, i64, i64, String, &'static str, i64, Option<i64>, Option<i64>);

const INSERT: &str = "INSERT INTO auctions (seller_id, title, description, start_at_ms, \
       ends_at_ms, salt, currency, start_price, reserve, buy_now, increments, soft_window_ms, \
       extensions_max, created_at_ms, outages, head) \
     SELECT d.seller, d.title, d.description, d.begins, d.ends, UNHEX(d.salt), d.currency, \
       d.price, d.reserve, d.buy_now, '[[0,50],[5000,100],[20000,500],[100000,1000]]', 30000, 20, \
       d.begins, (SELECT epoch FROM auction_clock WHERE one = 1), REPEAT('\\0', 32) \
     FROM JSON_TABLE(?, '$[*]' COLUMNS (seller BIGINT UNSIGNED PATH '$[0]', \
       title VARCHAR(120) PATH '$[1]', description VARCHAR(4000) PATH '$[2]', \
       begins BIGINT PATH '$[3]', ends BIGINT PATH '$[4]', salt CHAR(32) PATH '$[5]', \
       currency CHAR(3) PATH '$[6]', price BIGINT PATH '$[7]', reserve BIGINT PATH '$[8]', \
       buy_now BIGINT PATH '$[9]')) AS d";

/// Adds auctions until so many are live, and says how many it added.
pub async fn seed(opts: &Opts, wanted: u64) -> Result<u64, Failed> {
    let mut conn = Conn::new(opts.clone()).await?;
    let sql = format!(
        "SELECT id FROM users WHERE username LIKE 'user%' ORDER BY id LIMIT {}",
        limits::SEED_SELLERS_MAX
    );
    let sellers: Vec<u64> = conn.query(sql).await?;
    if sellers.is_empty() {
        return Err(Failed("there are no demo users to sell: add --users 100".into()));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let now_ms = i64::try_from(now)?;
    let sql = "SELECT COUNT(*) FROM auctions \
         WHERE phase = 'open' AND start_at_ms <= ? AND ends_at_ms > ?";
    let live: u64 = conn.exec_first(sql, (now_ms, now_ms)).await?.unwrap_or_default();
    let missing = wanted.saturating_sub(live);
    let mut added = 0;
    while added < missing {
        let until = (added + limits::SEED_LOTS).min(missing);
        let lots = (live + added..live + until).map(|number| lot(number, &sellers, now_ms));
        insert(&mut conn, &lots.collect::<Result<Vec<Lot>, Failed>>()?).await?;
        added = until;
    }
    conn.disconnect().await?;
    Ok(added)
}

/// The chain of an auction begins with its id, which the server gives.
async fn insert(conn: &mut Conn, lots: &[Lot]) -> Result<(), Failed> {
    let mut transaction = conn.start_transaction(mysql_async::TxOpts::default()).await?;
    transaction.exec_drop(INSERT, (serde_json::to_string(lots)?,)).await?;
    let first = transaction.last_insert_id().unwrap_or_default();
    let sql = "SELECT id FROM auctions WHERE id >= ? AND head = REPEAT('\\0', 32)";
    let ids: Vec<u64> = transaction.exec(sql, (first,)).await?;
    let heads: Vec<_> = ids.iter().map(|&id| (id, HEXLOWER.encode(&first_head(id)))).collect();
    let sql = "UPDATE JSON_TABLE(?, '$[*]' COLUMNS ( \
           id BIGINT UNSIGNED PATH '$[0]', head CHAR(64) PATH '$[1]')) AS d \
         STRAIGHT_JOIN auctions AS a ON a.id = d.id SET a.head = UNHEX(d.head)";
    transaction.exec_drop(sql, (serde_json::to_string(&heads)?,)).await?;
    transaction.commit().await?;
    Ok(())
}

/// The auction of this number: all but the salt depends on the number alone.
fn lot(number: u64, sellers: &[u64], now_ms: i64) -> Result<Lot, Failed> {
    let of =
        |count: usize, by: u64| usize::try_from(number / by % count as u64).unwrap_or_default();
    let (kind, thing) = (KINDS[of(KINDS.len(), 1)], THINGS[of(THINGS.len(), 5)]);
    let price = 100 * (1 + i64::try_from(number * 37 % 500)?);
    let minutes = 60 + i64::try_from(number * 7_919 % (23 * 60))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    Ok((
        sellers[of(sellers.len(), 1)],
        format!("{kind} {thing} no. {}", number + 1),
        format!("A {} {thing} in good order. Seen by appointment.", kind.to_lowercase()),
        now_ms - 1_000,
        now_ms + minutes * 60_000,
        HEXLOWER.encode(&salt),
        CURRENCIES[of(CURRENCIES.len(), 3)],
        price,
        number.is_multiple_of(3).then_some(price * 2),
        number.is_multiple_of(4).then_some(price * 20),
    ))
}
