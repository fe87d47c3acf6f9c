//! The fields of a JSON object or an HTML form, read strictly.
//!
//! Both come out as the same [`Fields`], so a handler reads either. What a handler does not ask
//! for is refused by [`Fields::finish`], and every error names the field: a misspelt optional field
//! that is silently dropped is a change that never happens.

mod value;

use super::limits::FIELDS_MAX;
use super::table::Media;
use crate::http::text;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::de::StrRead;
use souk_proto::{Code, Failure};
use std::fmt;
pub(super) use value::Value;

/// The fields that are not taken yet.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// Reads a body of the type that the route found.
    ///
    /// # Errors
    /// [`Code::MalformedBody`] if there is none or it is not what its type says,
    /// [`Code::InvalidField`] for a field that comes twice.
    pub fn read(media: Media, body: &[u8]) -> Result<Fields, Failure> {
        match media {
            Media::Form => Fields::form(body),
            _ => Fields::json(body),
        }
    }

    fn json(body: &[u8]) -> Result<Fields, Failure> {
        let mut reader = reader(body)?;
        let fields = reader.deserialize_map(FieldsVisitor).map_err(explain)?;
        reader.end().map_err(explain)?;
        Fields(fields).checked()
    }

    fn form(body: &[u8]) -> Result<Fields, Failure> {
        let pairs = text::form(body)?;
        let fields = pairs
            .into_iter()
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
        Fields(fields.collect()).checked()
    }

    /// Refuses a field that comes twice.
    pub fn checked(self) -> Result<Fields, Failure> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|(other, _)| other == name) {
                return Err(Failure::field(name, TWICE));
            }
        }
        Ok(self)
    }

    /// Reads the fields of an object that stands in a field.
    ///
    /// # Errors
    /// [`Code::InvalidField`] for what is no object, and for a field that comes twice.
    pub fn of(name: &str, value: Value) -> Result<Fields, Failure> {
        match value {
            Value::Object(fields) => Fields(fields).checked(),
            other => Err(wrong_type(name, "an object", &other)),
        }
    }

    /// Takes a field, whatever it is.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes a text that has to be there.
    pub fn text(&mut self, name: &str) -> Result<String, Failure> {
        self.text_if(name)?.ok_or_else(|| missing(name))
    }

    /// Takes a text that may be there.
    pub fn text_if(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(name, "a text", &other)),
        }
    }

    /// Takes a whole number from 0 that may be there; in a form it is written in digits, and an
    /// empty one is as good as none.
    pub fn number_if(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text
                .parse()
                .map(Some)
                .map_err(|_| Failure::field(name, "This number is too large.")),
            Some(other) => Err(wrong_type(name, "a whole number", &other)),
        }
    }

    /// Takes a whole number that may be there, with or without a sign, of 32 bits.
    pub fn integer_if(&mut self, name: &str) -> Result<Option<i32>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let number = number.as_i64().and_then(|number| i32::try_from(number).ok());
                let beyond = || Failure::field(name, "This number is out of range.");
                number.map(Some).ok_or_else(beyond)
            }
            Some(other) => Err(wrong_type(name, "a whole number", &other)),
        }
    }

    /// Takes a truth value that may be there.
    pub fn flag_if(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wrong_type(name, "true or false", &other)),
        }
    }

    /// Reads a JSON object with nothing but one list of objects in it. Fields that come twice in
    /// one of these are for its reader to refuse: see [`Fields::checked`].
    ///
    /// # Errors
    /// [`Code::MalformedBody`] for what is no such object, [`Code::InvalidField`] for other fields.
    pub fn list(body: &[u8], name: &str) -> Result<Vec<Fields>, Failure> {
        let mut reader = reader(body)?;
        let mut lists = reader.deserialize_map(ListsVisitor).map_err(explain)?;
        reader.end().map_err(explain)?;
        let at = lists.iter().position(|(key, _)| key == name);
        let at = at.ok_or_else(|| missing(name))?;
        let (_, list) = lists.swap_remove(at);
        match lists.into_iter().next() {
            None => Ok(list),
            Some((other, _)) if other == name => Err(Failure::field(name, TWICE)),
            Some((other, _)) => Err(unknown(&other)),
        }
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<(), Failure> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(unknown(&name)),
        }
    }
}

const TWICE: &str = "This field is given twice.";

/// That a field has to be there.
pub(super) fn missing(name: &str) -> Failure {
    Failure::field(name, "This field is missing.")
}

fn unknown(name: &str) -> Failure {
    // A name out of the input may be long; an answer needs no more than its beginning.
    let name: String = name.chars().take(64).collect();
    Failure::field(name, "This field is not known here.")
}

/// A reader of the JSON in a body.
fn reader(body: &[u8]) -> Result<serde_json::Deserializer<StrRead<'_>>, Failure> {
    if body.is_empty() {
        return Err(malformed("Send a JSON object in the body. It is empty."));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| malformed("The body is not UTF-8. JSON has to be."))?;
    Ok(serde_json::Deserializer::from_str(text))
}

fn malformed(detail: impl Into<String>) -> Failure {
    Failure::because(Code::MalformedBody, detail)
}

fn explain(error: serde_json::Error) -> Failure {
    malformed(format!("The body is not a JSON object as expected: {error}."))
}

/// That a field is of another type than wanted.
pub(super) fn wrong_type(name: &str, wanted: &str, value: &Value) -> Failure {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Failure::field(name, format!("This field has to be {wanted}, not {found}."))
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Fields, D::Error> {
        reader.deserialize_map(FieldsVisitor).map(Fields)
    }
}

/// An object of lists of objects.
struct ListsVisitor;

impl<'de> Visitor<'de> for ListsVisitor {
    type Value = Vec<(String, Vec<Fields>)>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object with a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        entries(map)
    }
}

/// Keeps fields that come twice, which a map would hide.
struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        entries(map)
    }
}

/// The entries of an object in order, also those whose names come twice.
fn entries<'de, A, V>(mut map: A) -> Result<Vec<(String, V)>, A::Error>
where
    A: MapAccess<'de>,
    V: Deserialize<'de>,
{
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        if entries.len() == FIELDS_MAX {
            return Err(de::Error::custom(format_args!("over {FIELDS_MAX} fields")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use crate::routes::table::Media;
    use proptest::prelude::*;
    use souk_proto::{Code, Failure};

    /// A handler's reading: a name, perhaps a nickname, perhaps a version.
    type Read = (String, Option<String>, Option<u64>);

    fn read(media: Media, body: &[u8]) -> Result<Read, Failure> {
        let mut fields = Fields::read(media, body)?;
        let name = fields.text("name")?;
        let nickname = fields.text_if("nickname")?;
        let version = fields.number_if("version")?;
        fields.finish()?;
        Ok((name, nickname, version))
    }

    #[test]
    fn json_is_read_strictly_and_errors_name_the_field() {
        let good = |body: &str| read(Media::Json, body.as_bytes()).expect(body);
        assert_eq!(good(r#"{"name":"a"}"#), ("a".into(), None, None));
        assert_eq!(
            good(" {\"version\": 7, \"nickname\":\"\\u00f6\", \"name\":\"a\"}\n"),
            ("a".into(), Some("ö".into()), Some(7))
        );
        #[rustfmt::skip]
        let table: &[(&[u8], Code, &str)] = &[
            (b"", Code::MalformedBody, ""),
            (b" ", Code::MalformedBody, ""),
            (b"{", Code::MalformedBody, ""),
            (b"[]", Code::MalformedBody, ""),
            (b"null", Code::MalformedBody, ""),
            (b"\"name\"", Code::MalformedBody, ""),
            (b"{'name':'a'}", Code::MalformedBody, ""),
            (b"{\"name\":\"a\",}", Code::MalformedBody, ""),
            (b"{\"name\":\"a\"}{}", Code::MalformedBody, ""),
            (b"{\"name\":\"a\"} x", Code::MalformedBody, ""),
            (b"{\"name\":\"\xff\"}", Code::MalformedBody, ""),
            (b"\xef\xbb\xbf{\"name\":\"a\"}", Code::MalformedBody, ""),
            (b"{\"name\":\"\\ud800\"}", Code::MalformedBody, ""),
            (b"{\"name\":\"a\nb\"}", Code::MalformedBody, ""),
            (b"name=a", Code::MalformedBody, ""),
            (b"{}", Code::InvalidField, "name"),
            (b"{\"name\":null}", Code::InvalidField, "name"),
            (b"{\"name\":1}", Code::InvalidField, "name"),
            (b"{\"name\":[\"a\"]}", Code::InvalidField, "name"),
            (b"{\"name\":{\"a\":1}}", Code::InvalidField, "name"),
            (b"{\"name\":true}", Code::InvalidField, "name"),
            (b"{\"Name\":\"a\"}", Code::InvalidField, "name"),
            (b"{\"name\":\"a\",\"name\":\"b\"}", Code::InvalidField, "name"),
            (b"{\"name\":\"a\",\"n\\u0061me\":\"b\"}", Code::InvalidField, "name"),
            (b"{\"name\":\"a\",\"nickname\":null}", Code::InvalidField, "nickname"),
            (b"{\"name\":\"a\",\"nicknam\":\"b\"}", Code::InvalidField, "nicknam"),
            (b"{\"name\":\"a\",\"version\":-1}", Code::InvalidField, "version"),
            (b"{\"name\":\"a\",\"version\":1.0}", Code::InvalidField, "version"),
            (b"{\"name\":\"a\",\"version\":1e3}", Code::InvalidField, "version"),
            (b"{\"name\":\"a\",\"version\":\"x\"}", Code::InvalidField, "version"),
            (b"{\"name\":\"a\",\"version\":99999999999999999999}", Code::InvalidField, "version"),
        ];
        for (body, code, field) in table {
            let failure = read(Media::Json, body).expect_err("has to be refused");
            let shown = String::from_utf8_lossy(body);
            assert_eq!((failure.code, failure.field.as_str()), (*code, *field), "{shown}");
        }
    }

    #[test]
    fn deep_and_wide_json_is_refused_cheaply() {
        let deep = format!("{{\"name\":{}", "[".repeat(8000));
        assert_eq!(read(Media::Json, deep.as_bytes()).expect_err("deep").code, Code::MalformedBody);
        let wide: Vec<String> = (0..1000).map(|number| format!("\"{number}\":1")).collect();
        let wide = format!("{{{}}}", wide.join(","));
        assert_eq!(read(Media::Json, wide.as_bytes()).expect_err("wide").code, Code::MalformedBody);
    }

    #[test]
    fn a_form_reads_like_json() {
        let read = |body: &str| read(Media::Form, body.as_bytes());
        assert_eq!(
            read("name=a+b&nickname=%C3%B6&version=7").expect("valid"),
            ("a b".into(), Some("ö".into()), Some(7))
        );
        assert_eq!(read("name=a&version=").expect("valid"), ("a".into(), None, None));
        assert_eq!(read("name=a&name=b").expect_err("twice").field, "name");
        assert_eq!(read("name=a&x=b").expect_err("unknown").field, "x");
        assert_eq!(read("name=a&version=-1").expect_err("sign").field, "version");
        assert_eq!(read("name=%zz").expect_err("escape").code, Code::MalformedBody);
        assert_eq!(read("").expect_err("empty").field, "name");
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(Media::Json, &body);
            let _ = read(Media::Form, &body);
        }

        #[test]
        fn any_text_comes_through_json(name in "\\PC{0,40}", nickname in ".{0,40}") {
            let body = serde_json::json!({"name": name, "nickname": nickname}).to_string();
            prop_assert_eq!(
                read(Media::Json, body.as_bytes()).expect("valid"),
                (name, Some(nickname), None)
            );
        }
    }
}
