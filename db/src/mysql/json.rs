//! Many rows as one parameter, for `JSON_TABLE`.

use mysql_async::Value;
use serde::Serialize;

/// Rows, lists of numbers and texts, as a parameter.
pub fn json(rows: &impl Serialize) -> Value {
    Value::Bytes(serde_json::to_vec(rows).expect("numbers and texts are JSON"))
}
